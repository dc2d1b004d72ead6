/**
 * The clocks of a turn: making a connection, the first token, silence between tokens, the whole turn. Each ends
 * what hangs, before and after the first token, and names itself. How long that takes is nobody's matter here.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newSession } from '../acceptance/client.ts';
import type { Script } from '../provider-double.ts';
import { type DeafServer, startDeafServer } from './deaf-server.ts';
import { assertAnswered, assertFailed } from './honesty.ts';
import { ask, attemptsOf, courseOf, openStage, type Stage } from './stage.ts';

/** The clocks that are under test run out after a second: longer than anything that does not hang takes. */
const RUNS_OUT = '1';
/** What no clock ends would hang for ever, and hide which one it is. */
const options = { concurrency: true, timeout: 60_000 };

const forever = new Promise<never>(() => undefined);

const SENT = 'Once upon';
const well: Script = { text: ['Once ', 'upon', ' a time'] };
const stalled: Script = { text: ['Once ', 'upon', ' a'], waitAt: { piece: 3, wait: forever } };

let deaf: DeafServer;
/** No clock runs out but the one for making a connection. */
let patient: Stage;
/** The clocks of an attempt run out, that of the turn does not. */
let attempts: Stage;
/** The other way round. */
let turns: Stage;

before(async () => {
  deaf = await startDeafServer();
  const providers = [{ name: 'deaf', base_url: deaf.url }];
  [patient, attempts, turns] = await Promise.all([
    openStage({ yaml: { providers } }),
    openStage({ env: { PROVIDER_TIMEOUT_SECONDS: RUNS_OUT, IDLE_TIMEOUT_SECONDS: RUNS_OUT } }),
    openStage({ env: { TURN_TIMEOUT_SECONDS: RUNS_OUT } }),
  ]);
});

after(async () => {
  await Promise.all([patient.close(), attempts.close(), turns.close()]);
  deaf.close();
});

for (const streaming of [true, false]) {
  const way = streaming ? 'streamed' : 'whole';
  const hanging: [what: string, script: Script][] = [
    ['no head comes', { waitBefore: forever }],
    ['no body comes', { raw: [''], hang: true }],
    ['half an answer comes', { raw: ['data: {"choices": [{"delta": '], hang: true }],
  ];
  if (streaming) hanging.push(['only comments come', { raw: [': hm\n\n', ': hm\n\n'], hang: true }]);
  else hanging.push(['an answer does not end', { raw: ['{"choices": [{"message": '], hang: true }]);

  describe(`first_token, ${way}`, options, () => {
    for (const [what, script] of hanging) addFirstToken(what, script, streaming);
  });
  describe(`connect, ${way}`, options, () => addConnect(streaming));
  describe(`turn, ${way}`, options, () => addTurn(streaming));
}

function addFirstToken(what: string, script: Script, streaming: boolean): void {
  const error = { kind: 'timeout', clock: 'first_token' };
  const expired = ({ error: told }: any) =>
    assert.deepEqual({ kind: told.kind, clock: told.clock }, error, JSON.stringify(told));

  it(`${what}, alone: asked once, broken off, 504`, async () => {
    const scene = await attempts.scene({ alpha: script });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 504, code: 'provider_timeout' });
    assert.equal(told.body.error.details.clock, 'first_token');
    assert.equal(told.body.error.details.attempts.length, 1);
    told.body.error.details.attempts.forEach(expired);
    await scene.requests[0]?.ended;
    assert.equal(scene.requests[0]?.aborted, true);
  });

  it(`${what}, with another target: that one answers`, async () => {
    const scene = await attempts.scene({ alpha: script, beta: well });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon a time');
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
    expired(told.body.attempts[0]);
    assert.equal(told.body.attempts[0].first_token_ms, null);
    if (streaming) assert.deepEqual(courseOf(told), ['turn.started', 'message.delta', 'turn.completed']);
  });
}

function addConnect(streaming: boolean): void {
  const error = { kind: 'timeout', clock: 'connect' };

  it('alone: tried once, 504', async () => {
    const sessionId = await newSession(patient.url, { provider: 'deaf', model: `alone-${streaming}` });
    const told = await ask(patient.url, sessionId, streaming);
    assert.deepEqual([told.status, told.body.error?.code], [504, 'provider_timeout']);
    assert.equal(told.body.error.details.clock, 'connect');
    assert.deepEqual(attemptsOf(told), [['deaf', error]]);
  });

  it('with another target: that one answers', async () => {
    const model = `behind-deaf-${streaming}`;
    patient.play(model, { beta: well });
    const settings = { provider: 'deaf', model, fallback_providers: [`beta/${model}`] };
    const told = await ask(patient.url, await newSession(patient.url, settings), streaming);
    assert.equal(told.body.message?.content, 'Once upon a time');
    assert.deepEqual(attemptsOf(told), [
      ['deaf', error],
      ['beta', null],
    ]);
  });
}

function addTurn(streaming: boolean): void {
  it('before the first token: 504, and no other target is asked', async () => {
    const scene = await turns.scene({ alpha: { waitBefore: forever }, beta: well });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 504, code: 'provider_timeout' });
    assert.equal(told.body.error.details.clock, 'turn');
    assert.deepEqual(scene.asked(), ['alpha']);
    assert.deepEqual(attemptsOf(told), [['alpha', { kind: 'timeout', clock: 'turn' }]]);
    await scene.requests[0]?.ended;
    assert.equal(scene.requests[0]?.aborted, true);
  });

  it('counts all attempts together', async () => {
    const hanging: Script = { waitBefore: forever };
    const scene = await turns.scene({ alpha: [{ status: 401 }], beta: hanging, gamma: well });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 504, code: 'provider_timeout' });
    assert.equal(told.body.error.details.clock, 'turn');
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
  });
}

describe('idle', options, () => {
  const error = { kind: 'timeout', clock: 'idle' };

  it('alone: the turn fails, names the clock, and keeps what came', async () => {
    const scene = await attempts.scene({ alpha: stalled });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code: 'provider_timeout', output: SENT });
    assert.equal(told.body.error.details.clock, 'idle');
    assert.deepEqual(attemptsOf(told), [['alpha', error]]);
    await scene.requests[0]?.ended;
    assert.equal(scene.requests[0]?.aborted, true);
  });

  for (const [player, text] of [
    ['beta', ['Once ', 'upon a', ' time']],
    ['beta-prefill', [' a time']],
    ['beta-instruct', [' a time']],
  ] as const) {
    it(`with ${player}: the answer is whole`, async () => {
      const scene = await attempts.scene({ alpha: stalled, [player]: { text } });
      const told = await scene.ask(true);
      await assertAnswered(scene, told, 'Once upon a time');
      assert.deepEqual(courseOf(told), ['turn.started', 'message.delta', 'turn.completed']);
      assert.deepEqual(attemptsOf(told), [
        ['alpha', error],
        [player, null],
      ]);
    });
  }

  it('counts comments as silence', async () => {
    const piece = 'data: {"choices":[{"delta":{"content":"Once upon"}}]}\n\n';
    const scene = await attempts.scene({ alpha: { raw: [piece, ': hm\n\n', ': hm\n\n'], hang: true } });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code: 'provider_timeout', output: SENT });
    assert.equal(told.body.error.details.clock, 'idle');
  });

  it('holds for the end of an answer too', async () => {
    const whole = 'data: {"choices":[{"delta":{"content":"Once upon"},"finish_reason":null}]}\n\n';
    const scene = await attempts.scene({ alpha: { raw: [whole], hang: true }, beta: { text: [SENT] } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, SENT);
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
  });
});

describe('turn, after the first token', options, () => {
  for (const cast of [{ beta: well }, { 'beta-prefill': { text: ' a time' } }, {}]) {
    const [other = 'nobody else'] = Object.keys(cast);
    it(`the turn fails with what came, and there is no rescue by ${other}`, async () => {
      const scene = await turns.scene({ alpha: stalled, ...cast });
      const told = await scene.ask(true);
      await assertFailed(scene, told, { status: 200, code: 'provider_timeout', output: SENT });
      assert.equal(told.body.error.details.clock, 'turn');
      assert.deepEqual(scene.asked(), ['alpha']);
      assert.deepEqual(attemptsOf(told), [['alpha', { kind: 'timeout', clock: 'turn' }]]);
    });
  }

  it('a rescue has only what is left of it', async () => {
    const broken: Script = { text: ['Once ', 'upon'], finishReason: null, usage: 'never', done: false };
    const scene = await turns.scene({ alpha: broken, beta: { waitBefore: forever }, gamma: well });
    const told = await scene.ask(true);
    await assertFailed(scene, told, { status: 200, code: 'provider_timeout', output: SENT });
    assert.equal(told.body.error.details.clock, 'turn');
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
  });
});

describe('after a clock ran out', options, () => {
  it('the session goes on', async () => {
    const scene = await attempts.scene({ alpha: [{ waitBefore: forever }, well] });
    assert.equal((await scene.ask(true)).status, 504);
    const told = await scene.ask(true);
    assert.equal(told.body.message?.content, 'Once upon a time');
    assert.equal(told.body.history.length, 2);
  });
});
