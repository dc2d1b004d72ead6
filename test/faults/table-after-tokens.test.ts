/**
 * The failure table after the first token: every way in which a stream can break off, for a target alone and with
 * every kind of target that may rescue the answer. How a rescue joins two texts: `rescue.test.ts`.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Script } from '../provider-double.ts';
import { assertAnswered, assertFailed } from './honesty.ts';
import { attemptsOf, type Cast, courseOf, openStage, type Stage, textOf } from './stage.ts';

const SENT = 'The quick brown fox';
const REST = ' jumps over the lazy dog.';
const OTHER = 'Foxes are quick, and they jump.';
const MAX_BYTES = 64 * 1024;

interface Break {
  what: string;
  /** Everything of it comes after `SENT`. */
  script: Script;
  error: { kind: string; http_status?: number };
}

const begun = { text: ['The quick ', 'brown fox'] };
const unfinished: Script = { ...begun, finishReason: null, usage: 'never', done: false };

const breaks: readonly Break[] = [
  {
    what: 'a connection that is cut',
    script: { ...unfinished, cut: { afterBytes: MAX_BYTES } },
    error: { kind: 'interrupted', http_status: 200 },
  },
  {
    what: 'an end without a finish reason',
    script: unfinished,
    error: { kind: 'interrupted', http_status: 200 },
  },
  {
    what: 'an error event',
    script: { ...begun, error: { code: 500, message: 'broken' } },
    error: { kind: 'interrupted', http_status: 200 },
  },
  {
    what: 'a limit of requests',
    script: { ...begun, error: { code: 429, message: 'slow down' } },
    error: { kind: 'rate_limited', http_status: 200 },
  },
  {
    what: 'several events that cannot be read',
    script: { raw: [frame('The quick '), frame('brown fox'), 'data: {oops\n\n', 'data: {oops\n\n'] },
    error: { kind: 'interrupted', http_status: 200 },
  },
];

/** What ends the turn wherever it happens: elsewhere it would happen again. */
const final: readonly (Break & { code: string })[] = [
  {
    what: 'a content filter',
    script: { ...begun, error: { code: 'content_filter', message: 'no' } },
    error: { kind: 'content_filter', http_status: 200 },
    code: 'content_filtered',
  },
  {
    what: 'a context that is too long',
    script: { ...begun, error: { code: 'context_length_exceeded', message: 'no' } },
    error: { kind: 'context_length_exceeded', http_status: 200 },
    code: 'context_length_exceeded',
  },
  {
    what: 'an answer that does not end',
    script: { text: [SENT, 'x'.repeat(MAX_BYTES)] },
    error: { kind: 'answer_too_large' },
    code: 'provider_error',
  },
];

function frame(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
}

let stage: Stage;

before(async () => {
  stage = await openStage({ env: { ANSWER_MAX_BYTES: String(MAX_BYTES) } });
});

after(() => stage.close());

for (const { what, script, error } of breaks) {
  describe(`after the first token, ${what}`, { concurrency: 8 }, () => addBreak(script, error));
}

function addBreak(script: Script, error: Break['error']): void {
  const continued = ['turn.started', 'message.delta', 'turn.completed'];
  const restarted = ['turn.started', 'message.delta', 'message.restart', 'message.delta', 'turn.completed'];
  const code = error.kind === 'rate_limited' ? 'provider_rate_limited' : 'provider_error';
  /** A target that has failed and is asked again has to be let alone first if it said so. */
  const alone = (player: 'alpha-prefill' | 'alpha-instruct'): Cast => ({
    [player]: [script, { text: REST }],
  });

  it('alone: the turn fails, and what came of it is kept', async () => {
    const scene = await stage.scene({ alpha: script });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code, output: SENT });
    assert.deepEqual(courseOf(told), ['turn.started', 'message.delta', 'turn.failed']);
    assert.deepEqual(attemptsOf(told), [['alpha', error]]);
    assert.deepEqual(scene.asked(), ['alpha']);
  });

  it('with a target that answers the same: it goes on where the text broke off', async () => {
    const scene = await stage.scene({ alpha: script, beta: { text: ['The quick brown', ' fox', REST] } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, SENT + REST);
    assert.deepEqual(courseOf(told), continued);
    assert.deepEqual(attemptsOf(told), [
      ['alpha', error],
      ['beta', null],
    ]);
    assert.deepEqual([told.body.provider, told.body.provider_source], ['beta', 'fallback']);
    const [first, second] = scene.requests;
    assert.deepEqual(second?.body.messages, first?.body.messages);
  });

  it('with a target that answers otherwise: the client is told to discard', async () => {
    const scene = await stage.scene({ alpha: script, beta: { text: [OTHER] } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, OTHER);
    assert.deepEqual(courseOf(told), restarted);
    const restart = told.events.find(({ event }) => event === 'message.restart');
    assert.equal(typeof restart?.data.reason, 'string');
    assert.notEqual(restart?.data.reason, '');
  });

  it('with a target that takes the beginning: it goes on', async () => {
    const scene = await stage.scene({ alpha: script, 'beta-prefill': { text: REST } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, SENT + REST);
    assert.deepEqual(courseOf(told), continued);
    assert.deepEqual(scene.requests[1]?.body.messages, [
      { role: 'user', content: 'Tell' },
      { role: 'assistant', content: SENT },
    ]);
  });

  it('with a target that can be told to: it goes on', async () => {
    const scene = await stage.scene({ alpha: script, 'beta-instruct': { text: REST } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, SENT + REST);
    assert.deepEqual(courseOf(told), continued);
    const [user, assistant, instruction, ...more] = scene.requests[1]?.body.messages ?? [];
    assert.deepEqual(
      [user, assistant],
      [
        { role: 'user', content: 'Tell' },
        { role: 'assistant', content: SENT },
      ],
    );
    assert.equal(instruction?.role, 'user');
    assert.deepEqual(more, []);
  });

  for (const player of ['alpha-prefill', 'alpha-instruct'] as const) {
    it(`alone, ${player}: it goes on by itself`, async () => {
      const scene = await stage.scene(alone(player));
      const told = await scene.ask(true);
      await assertAnswered(scene, told, SENT + REST);
      assert.deepEqual(courseOf(told), continued);
      assert.deepEqual(attemptsOf(told), [
        [player, error],
        [player, null],
      ]);
      assert.deepEqual(scene.requests[1]?.body.messages[1], { role: 'assistant', content: SENT });
    });

    it(`alone, ${player}, and it breaks again: the turn fails with all that came`, async () => {
      const again: Script = {
        ...script,
        raw: [frame(' jumps'), 'data: [DONE'],
        cut: { afterBytes: MAX_BYTES },
      };
      const scene = await stage.scene({ [player]: [script, again] });
      const told = await scene.ask(true);
      const failed = { status: 200, code: 'provider_error', output: `${SENT} jumps` };
      await assertFailed(scene, told, failed);
      assert.deepEqual(scene.asked(), [player, player]);
    });
  }

  it('everywhere: the turn fails with the last text', async () => {
    const other: Script = { ...unfinished, text: 'Foxes are' };
    const scene = await stage.scene({ alpha: script, beta: other });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code: 'provider_error', output: 'Foxes are' });
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
    assert.deepEqual(courseOf(told), [
      'turn.started',
      'message.delta',
      'message.restart',
      'message.delta',
      'turn.failed',
    ]);
  });

  it('with a target that does not answer: the text stays, and the turn fails', async () => {
    const scene = await stage.scene({ alpha: script, beta: { status: 401 } });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code: 'provider_error', output: SENT });
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
  });

  it('with a target that fails for a moment: its second attempt is the rescue', async () => {
    const scene = await stage.scene({ alpha: script, beta: [{ status: 500 }, { text: [SENT, REST] }] });
    await assertAnswered(scene, await scene.ask(true), SENT + REST);
    assert.deepEqual(scene.asked(), ['alpha', 'beta', 'beta']);
  });

  it('with a target behind one that does not answer: it is the rescue', async () => {
    const whole: Script = { text: [SENT, REST] };
    const scene = await stage.scene({ alpha: script, beta: { status: 401 }, gamma: whole });
    await assertAnswered(scene, await scene.ask(true), SENT + REST);
    assert.deepEqual(scene.asked(), ['alpha', 'beta', 'gamma']);
  });
}

describe('after the first token, for good:', { concurrency: 8 }, () => {
  for (const { what, script, error, code } of final) {
    it(`${what} ends the turn, whoever else is there`, async () => {
      const scene = await stage.scene({ 'alpha-prefill': script, beta: { text: [SENT, REST] } });
      const told = await scene.ask(true);
      const sent = textOf(told);
      assert.ok(sent.startsWith(SENT) && sent.length < SENT.length + MAX_BYTES);
      await assertFailed(scene, told, { status: 200, code, output: sent });
      assert.deepEqual(scene.asked(), ['alpha-prefill']);
      const [attempt] = told.body.error.details.attempts;
      assert.equal(attempt.error.kind, error.kind);
    });
  }
});

describe('an answer that is too large', { concurrency: true }, () => {
  const tooLarge: Script = { text: 'x'.repeat(2 * MAX_BYTES) };

  it('whole: the next target answers, and without one it is 502', async () => {
    const scene = await stage.scene({ alpha: tooLarge, beta: { text: SENT } });
    const told = await scene.ask(false);
    await assertAnswered(scene, told, SENT);
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
    assert.equal(told.body.attempts[0].error.kind, 'answer_too_large');
    const alone = await stage.scene({ alpha: tooLarge });
    await assertFailed(alone, await alone.ask(false), { status: 502, code: 'provider_error' });
    assert.deepEqual(alone.asked(), ['alpha']);
  });
});
