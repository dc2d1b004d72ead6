/**
 * The failure table before the first token: every row, streamed or whole, for a target alone and with another one
 * behind it. Nothing has reached the client yet, so no rescue may show. Rows of the clocks: `clocks.test.ts`.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { newSession } from '../acceptance/client.ts';
import { providerErrorMessage, type Script } from '../provider-double.ts';
import { assertAnswered, assertFailed } from './honesty.ts';
import { ask, attemptsOf, courseOf, openStage, type Stage } from './stage.ts';

interface Row {
  what: string;
  script: Script;
  /** How the attempt is recorded. */
  error: { kind: string; http_status?: number };
  /** How often the target is asked before another one is. */
  asked: 1 | 2;
  /** Whether another target is asked at all. */
  next: boolean;
  /** What the client is told when nobody else is there. */
  status: number;
  code: string;
}

/** A fault that may be over in a moment. */
const passing = (what: string, script: Script, error: Row['error']): Row => {
  const told = { status: 502, code: 'provider_error' };
  return { what, script, error, asked: 2, next: true, ...told };
};

/** A fault that stays, of this target alone. */
const lasting = (status: number, kind: string): Row => {
  const error = { kind, http_status: status };
  return { ...passing(`status ${status}`, { status }, error), asked: 1 };
};

/** A fault of the request itself. */
const callers = (what: string, script: Script, kind: string, code: string): Row => {
  const error = { kind, http_status: script.status ?? 200 };
  return { what, script, error, asked: 1, next: false, status: 400, code };
};

const coded = (status: number, code: string): Script => ({
  status,
  error: { message: providerErrorMessage, code },
});

const invalid = { kind: 'invalid_answer', http_status: 200 };
const eventStream = 'text/event-stream';

const rows: readonly Row[] = [
  ...[500, 502, 503, 504, 529].map((status) =>
    passing(`status ${status}`, { status }, { kind: 'server_error', http_status: status }),
  ),
  passing(
    'a page of a proxy',
    { status: 503, html: '<h1>Unavailable</h1>' },
    { kind: 'server_error', http_status: 503 },
  ),
  passing('a connection reset before the headers', { cut: 'before headers' }, { kind: 'unreachable' }),
  passing(
    'a connection cut after the headers',
    { cut: { afterBytes: 5 } },
    { kind: 'interrupted', http_status: 200 },
  ),
  passing('a page as a success', { html: '<h1>Welcome</h1>' }, invalid),
  passing('invalid JSON', { raw: ['{"choices": ['], contentType: 'application/json' }, invalid),
  passing('an empty body', { raw: [''] }, invalid),
  passing('no choices', { json: { choices: [] } }, invalid),
  passing('an error object as a success', { json: { error: { code: 503, message: 'x' } } }, invalid),
  passing(
    'an error in the first event',
    { raw: ['data: {"error": {"message": "x", "code": 500}}\n\n'], contentType: eventStream },
    invalid,
  ),
  passing('a first event that is not JSON', { raw: ['data: {oops\n\n'], contentType: eventStream }, invalid),
  passing('an end without any choice', { raw: ['data: [DONE]\n\n'], contentType: eventStream }, invalid),
  ...[401, 402, 403].map((status) => lasting(status, 'unauthorized')),
  lasting(404, 'model_not_found'),
  callers('status 400', { status: 400 }, 'bad_request', 'provider_rejected_request'),
  callers('status 422', { status: 422 }, 'bad_request', 'provider_rejected_request'),
  callers(
    'a context that is too long',
    coded(400, 'context_length_exceeded'),
    'context_length_exceeded',
    'context_length_exceeded',
  ),
  callers('a content filter', coded(400, 'content_filter'), 'content_filter', 'content_filtered'),
  callers('a content policy', coded(400, 'content_policy_violation'), 'content_filter', 'content_filtered'),
];

const well: Script = { text: ['Once ', 'upon'] };

let stage: Stage;
/** Gives a turn two seconds. */
let hurried: Stage;

before(async () => {
  const gone = { name: 'gone', base_url: `http://127.0.0.1:${await closedPort()}/v1` };
  [stage, hurried] = await Promise.all([
    openStage({ yaml: { providers: [gone] } }),
    openStage({ env: { TURN_TIMEOUT_SECONDS: '2' } }),
  ]);
});

after(() => Promise.all([stage.close(), hurried.close()]));

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

for (const streaming of [true, false]) {
  const way = streaming ? 'streamed' : 'whole';
  describe(`before the first token, ${way}`, { concurrency: 16 }, () => {
    for (const row of rows) addRow(row, streaming);
  });
  describe(`a limit of requests, ${way}`, { concurrency: 16 }, () => addLimits(streaming));
}

function addRow({ what, script, error, asked, next, status, code }: Row, streaming: boolean): void {
  const failures = (name: string) => Array.from({ length: asked }, () => [name, error]);
  const names = (name: string) => Array.from({ length: asked }, () => name);

  it(`${what}, alone: asked ${asked === 1 ? 'once' : 'twice'}, then ${status}`, async () => {
    const scene = await stage.scene({ alpha: script });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status, code });
    assert.deepEqual(scene.asked(), names('alpha'));
    assert.deepEqual(attemptsOf(told), failures('alpha'));
    const said = next ? undefined : providerErrorMessage;
    assert.equal(told.body.error.details.provider_message, said);
  });

  it(`${what}, with another target: ${next ? 'that one answers' : 'it is not asked'}`, async () => {
    const scene = await stage.scene({ alpha: script, beta: well });
    const told = await scene.ask(streaming);
    assert.deepEqual(scene.asked(), next ? [...names('alpha'), 'beta'] : ['alpha']);
    assert.deepEqual(attemptsOf(told), [...failures('alpha'), ...(next ? [['beta', null]] : [])]);
    if (!next) return assertFailed(scene, told, { status, code });
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual([told.body.provider, told.body.provider_source], ['beta', 'fallback']);
    if (streaming) assert.deepEqual(courseOf(told), ['turn.started', 'message.delta', 'turn.completed']);
  });

  it(`${what}, everywhere: every target is asked, no more often`, async () => {
    const scene = await stage.scene({ alpha: script, beta: script, gamma: script });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status, code });
    const expected = next ? ['alpha', 'beta', 'gamma'].flatMap(names) : ['alpha'];
    assert.deepEqual(scene.asked(), expected);
    scene.recast({ alpha: well, beta: well, gamma: well });
    await assertSecondTurn(await scene.ask(streaming));
  });

  if (asked === 1) return;
  it(`${what}, for a moment: the second attempt answers`, async () => {
    const scene = await stage.scene({ alpha: [script, well], beta: well });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(scene.asked(), ['alpha', 'alpha']);
    assert.deepEqual(attemptsOf(told), [
      ['alpha', error],
      ['alpha', null],
    ]);
    assert.deepEqual([told.body.provider, told.body.provider_source], ['alpha', 'session']);
  });
}

/** A failed turn leaves a session that goes on as if it had not been. */
async function assertSecondTurn({ status, body }: { status: number; body: any }): Promise<void> {
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.history.length, 2);
}

function addLimits(streaming: boolean): void {
  const limited = (headers: Record<string, string> = {}): Script => ({ status: 429, headers });
  const error = { kind: 'rate_limited', http_status: 429 };

  it('alone: asked again after the time that it asks for', async () => {
    const scene = await hurried.scene({ alpha: [limited({ 'retry-after-ms': '20' }), well] });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(attemptsOf(told), [
      ['alpha', error],
      ['alpha', null],
    ]);
    const [first, second] = told.body.attempts.map(({ started_at }: any) => Date.parse(started_at));
    assert.ok(second - first >= 20, `${second - first} ms`);
  });

  it('alone, and it stays: asked twice, then 429', async () => {
    const scene = await hurried.scene({ alpha: limited({ 'retry-after-ms': '20' }) });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 429, code: 'provider_rate_limited' });
    assert.deepEqual(scene.asked(), ['alpha', 'alpha']);
    assert.equal(told.headers.get('retry-after'), '1');
  });

  it("alone, for longer than the turn's time: not waited for, 429 says when to come back", async () => {
    const scene = await hurried.scene({ alpha: limited({ 'retry-after': '90' }) });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 429, code: 'provider_rate_limited' });
    assert.deepEqual(scene.asked(), ['alpha']);
    assert.equal(told.body.error.details.retry_after, Number(told.headers.get('retry-after')));
    const seconds = Number(told.headers.get('retry-after'));
    assert.ok(seconds > 60 && seconds <= 90, `${seconds}`);
  });

  it('with another target: that one answers, and the first is left alone until it may be asked', async () => {
    const scene = await stage.scene({ alpha: [limited({ 'retry-after': '600' }), well], beta: well });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(attemptsOf(told), [
      ['alpha', error],
      ['beta', null],
    ]);
    const asked = { provider: 'alpha', model: scene.model };
    const later = await scene.ask(streaming, asked);
    assert.equal(later.body.provider, 'beta');
    assert.deepEqual(scene.asked(), ['alpha', 'beta', 'beta']);
  });

  it('everywhere: the soonest is waited for', async () => {
    const scene = await hurried.scene({
      alpha: limited({ 'retry-after': '90' }),
      beta: [limited({ 'retry-after-ms': '20' }), well],
    });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(scene.asked(), ['alpha', 'beta', 'beta']);
  });

  it('everywhere, for long: 429 tells the soonest', async () => {
    const scene = await hurried.scene({
      alpha: limited({ 'retry-after': '900' }),
      beta: limited({ 'retry-after': new Date(Date.now() + 300_000).toUTCString() }),
    });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 429, code: 'provider_rate_limited' });
    assert.deepEqual(scene.asked(), ['alpha', 'beta']);
    const seconds = Number(told.headers.get('retry-after'));
    assert.ok(seconds > 200 && seconds <= 300, `${seconds}`);
  });

  it('inside a success it is the same limit', async () => {
    const script: Script = { text: [], error: { code: 429, message: 'slow down' } };
    const scene = await stage.scene({ alpha: script, beta: well });
    const told = await scene.ask(streaming);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(attemptsOf(told), [
      ['alpha', { kind: 'rate_limited', http_status: 200 }],
      ['beta', null],
    ]);
  });

  it('here and a fault there: neither tells the whole, so it is 502', async () => {
    const scene = await hurried.scene({ alpha: limited({ 'retry-after': '90' }), beta: { status: 500 } });
    const told = await scene.ask(streaming);
    await assertFailed(scene, told, { status: 502, code: 'provider_error' });
    assert.deepEqual(scene.asked(), ['alpha', 'beta', 'beta']);
  });
}

describe('what is not a failure', { concurrency: true }, () => {
  const piece = (content: string) => `data: {"choices":[{"delta":{"content":"${content}"}}]}\n\n`;
  const stop = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';

  it('one event that cannot be read is skipped and counted', async () => {
    const raw = [piece('Once '), 'data: {oops\n\n', piece('upon'), stop, 'data: [DONE]\n\n'];
    const scene = await stage.scene({ alpha: { raw } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(scene.asked(), ['alpha']);
    assert.equal(told.body.attempts[0].malformed_events, 1);
  });

  it('a clean end with a finish reason and without [DONE] is whole', async () => {
    const scene = await stage.scene({ alpha: { raw: [piece('Once '), piece('upon'), stop] } });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, 'Once upon');
    assert.deepEqual(attemptsOf(told), [['alpha', null]]);
    assert.equal('malformed_events' in told.body.attempts[0], false);
  });
});

describe('after a long silence the stream is open, and', { concurrency: true }, () => {
  /** Holds the first attempt until the client has the head of the stream. */
  async function silent(cast: (held: Promise<void>) => Parameters<Stage['scene']>[0]) {
    const held = Promise.withResolvers<void>();
    const scene = await stage.scene(cast(held.promise));
    const response = await fetch(`${stage.url}/sessions/${scene.sessionId}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ content: 'Tell', stream: true }),
    });
    assert.equal(response.status, 200);
    held.resolve();
    return { scene, response };
  }

  it('another target still answers unseen', async () => {
    const { response } = await silent((held) => ({
      alpha: { status: 401, waitBefore: held },
      beta: well,
    }));
    const text = await response.text();
    const names = [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    assert.deepEqual(names, ['turn.started', 'message.delta', 'message.delta', 'turn.completed']);
  });

  it('an error is the last event', async () => {
    const { scene, response } = await silent((held) => ({ alpha: { status: 401, waitBefore: held } }));
    const text = await response.text();
    const names = [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    assert.deepEqual(names, ['turn.started', 'turn.failed']);
    assert.match(text, /"code":"provider_error"/);
    assert.deepEqual(await scene.conversation(), []);
  });
});

describe('a server where nobody listens', { concurrency: true }, () => {
  for (const streaming of [true, false]) {
    it(`is asked twice, then another target answers, ${streaming ? 'streamed' : 'whole'}`, async () => {
      const model = `behind-gone-${streaming}`;
      const requests = stage.play(model, { beta: well });
      const settings = { provider: 'gone', model, fallback_providers: [`beta/${model}`] };
      const told = await ask(stage.url, await newSession(stage.url, settings), streaming);
      assert.equal(told.body.message?.content, 'Once upon');
      assert.equal(requests.length, 1);
      assert.deepEqual(attemptsOf(told), [
        ['gone', { kind: 'unreachable' }],
        ['gone', { kind: 'unreachable' }],
        ['beta', null],
      ]);
    });

    it(`is asked twice, then 502, ${streaming ? 'streamed' : 'whole'}`, async () => {
      const settings = { provider: 'gone', model: `gone-${streaming}` };
      const told = await ask(stage.url, await newSession(stage.url, settings), streaming);
      assert.deepEqual([told.status, told.body.error.code], [502, 'provider_error']);
      assert.equal(attemptsOf(told).length, 2);
    });
  }
});
