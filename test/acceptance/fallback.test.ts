/** What a provider's failure does to a turn: the next target answers, or the client is told, and never too much. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import {
  type Answer as DoubleAnswer,
  type ProviderDouble,
  type Script,
  startProviderDouble,
} from '../provider-double.ts';
import { providerErrorMessage } from '../provider-double-script.ts';
import { type Answer, call, newSession, send, stream } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

let double: ProviderDouble;
/** Has alpha and beta, played by the double, and gone, where nobody listens. Falls back to beta. */
let parley: ParleyProcess;

/** Recognisable text of a provider that no client may see. */
const rawBody = 'raw-body-of-the-provider';

before(async () => {
  double = await startProviderDouble();
  const played = (name: string) => double.url.replace(/v1$/, `${name}/v1`);
  const providers = [
    { name: 'alpha', base_url: played('alpha'), model: 'alpha-1', api_key: 'the-key-of-alpha' },
    { name: 'beta', base_url: played('beta'), model: 'beta-1' },
    { name: 'gamma', base_url: played('gamma'), model: 'gamma-1' },
    { name: 'gone', base_url: `http://127.0.0.1:${await closedPort()}/v1`, model: 'gone-1' },
  ];
  parley = await startParleyWithYaml(
    { providers },
    { FALLBACK_PROVIDERS: 'beta', PROVIDER_TIMEOUT_SECONDS: '0.3', IDLE_TIMEOUT_SECONDS: '0.3' },
  );
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

beforeEach(() => double.reset());

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Each provider its own script; those that have none echo. */
function play(scripts: Record<string, Script>): void {
  const chosen: DoubleAnswer = ({ path }) => scripts[path.split('/')[1] ?? ''] ?? { text: ['from ', 'beta'] };
  double.respond(chosen);
}

const turnOf = async (body: { session_id: string; turn_id: string }) =>
  (await call(parley.url, 'GET', `/sessions/${body.session_id}/turns/${body.turn_id}`)).body;

const conversation = async (sessionId: string) =>
  (await call(parley.url, 'GET', `/sessions/${sessionId}/messages`)).body.data;

const errorsOf = (attempts: any[]) => attempts.map(({ provider, error }) => [provider, error]);

/** The answer to a message, streamed or not, in the one shape that both have. */
async function ask(sessionId: string, streaming: boolean): Promise<any> {
  if (!streaming) return (await send(parley.url, sessionId, 'Hello')).body;
  const { events } = await stream(parley.url, sessionId, 'Hello');
  assert.deepEqual(
    events.map(({ event }) => event),
    ['turn.started', 'message.delta', 'message.delta', 'turn.completed'],
  );
  return events.at(-1)?.data;
}

interface FailureCase {
  script: Script;
  error: { kind: string; http_status?: number; clock?: string };
}

const status = (code: number, kind: string): FailureCase => ({
  script: { status: code },
  error: { kind, http_status: code },
});

const passedOn: Record<string, FailureCase> = {
  'status 500': status(500, 'server_error'),
  'status 502': status(502, 'server_error'),
  'status 503': status(503, 'server_error'),
  'status 504': status(504, 'server_error'),
  'status 529': status(529, 'server_error'),
  'status 429': status(429, 'rate_limited'),
  'status 401': status(401, 'unauthorized'),
  'status 402': status(402, 'unauthorized'),
  'status 403': status(403, 'unauthorized'),
  'status 404': status(404, 'model_not_found'),
  'a page of a proxy': {
    script: { status: 503, html: rawBody },
    error: { kind: 'server_error', http_status: 503 },
  },
  'no answer in time': {
    script: { waitBefore: new Promise(() => undefined) },
    error: { kind: 'timeout', clock: 'first_token' },
  },
  'headers and then nothing': {
    script: { raw: [': wait\n\n'], hang: true, contentType: 'text/event-stream' },
    error: { kind: 'timeout', clock: 'first_token' },
  },
  'a connection cut before the headers': {
    script: { cut: 'before headers' },
    error: { kind: 'unreachable' },
  },
  'a connection cut after the headers': {
    script: { cut: { afterBytes: 5 } },
    error: { kind: 'interrupted', http_status: 200 },
  },
  'HTML as a success': {
    script: { html: rawBody },
    error: { kind: 'invalid_answer', http_status: 200 },
  },
  'no choices': { script: { json: { choices: [] } }, error: { kind: 'invalid_answer', http_status: 200 } },
  'an error inside a success': {
    script: { json: { error: { code: 503, message: rawBody } } },
    error: { kind: 'invalid_answer', http_status: 200 },
  },
  'a rate limit inside a success': {
    script: { text: [], error: { code: 429, message: rawBody } },
    error: { kind: 'rate_limited', http_status: 200 },
  },
};

for (const [name, { script, error }] of Object.entries(passedOn)) {
  for (const streaming of [false, true]) {
    test(`after ${name} the next target answers, ${streaming ? 'streamed' : 'whole'}`, async () => {
      play({ alpha: script });
      const sessionId = await newSession(parley.url, { provider: 'alpha' });
      const answer = await ask(sessionId, streaming);
      assert.deepEqual(
        [answer.provider, answer.model, answer.provider_source, answer.message.content],
        ['beta', 'beta-1', 'fallback', 'from beta'],
      );
      assert.deepEqual(errorsOf(answer.attempts), [
        ['alpha', error],
        ['beta', null],
      ]);
      assert.deepEqual(
        answer.attempts.map(({ status, model }: any) => [status, model]),
        [
          ['failed', 'alpha-1'],
          ['completed', 'beta-1'],
        ],
      );
      const turn = await turnOf(answer);
      assert.deepEqual(turn.attempts, answer.attempts);
      assert.deepEqual([turn.provider, turn.provider_source], ['beta', 'fallback']);
      assert.equal((await conversation(sessionId)).length, 2);
    });
  }
}

test('after a refused connection the next target answers', async () => {
  const sessionId = await newSession(parley.url, { provider: 'gone' });
  for (const streaming of [false, true]) {
    play({});
    const answer = await ask(sessionId, streaming);
    assert.equal(answer.provider, 'beta');
    assert.deepEqual(errorsOf(answer.attempts), [
      ['gone', { kind: 'unreachable' }],
      ['beta', null],
    ]);
  }
});

test("a session's own fallbacks replace the server's and are tried in their order", async () => {
  play({ alpha: { status: 500 }, gamma: { status: 429 }, beta: { text: ['from ', 'beta'] } });
  const fallback_providers = ['gone', 'gamma/gamma-2', 'Beta/beta-2'];
  const sessionId = await newSession(parley.url, { provider: 'alpha', fallback_providers });
  const answer = await ask(sessionId, false);
  assert.deepEqual(
    answer.attempts.map(({ provider, model, error }: any) => [provider, model, error?.kind ?? null]),
    [
      ['alpha', 'alpha-1', 'server_error'],
      ['gone', 'gone-1', 'unreachable'],
      ['gamma', 'gamma-2', 'rate_limited'],
      ['beta', 'beta-2', null],
    ],
  );

  const single = await newSession(parley.url, { provider: 'alpha', fallback_provider: 'gamma' });
  play({ alpha: { status: 500 }, gamma: { text: 'from gamma' } });
  assert.equal((await send(parley.url, single, 'Hello')).body.provider, 'gamma');
});

test('an empty list of fallbacks means none', async () => {
  play({ alpha: { status: 500 } });
  const sessionId = await newSession(parley.url, { provider: 'alpha', fallback_providers: [] });
  const { status, body } = await send(parley.url, sessionId, 'Hello');
  assert.equal(status, 502);
  assert.equal(body.error.details.attempts.length, 1);
});

const callersOwn: [string, Script, string][] = [
  ['status 400', { status: 400 }, 'provider_rejected_request'],
  ['status 422', { status: 422 }, 'provider_rejected_request'],
  [
    'a content filter',
    { status: 400, error: { code: 'content_filter', message: providerErrorMessage } },
    'content_filtered',
  ],
  [
    'a content policy',
    { status: 400, error: { code: 'content_policy_violation', message: providerErrorMessage } },
    'content_filtered',
  ],
  [
    "OpenRouter's moderation",
    {
      status: 403,
      error: {
        code: 403,
        message: providerErrorMessage,
        metadata: { reasons: ['x'], flagged_input: rawBody },
      },
    },
    'content_filtered',
  ],
  [
    'too long a context',
    { status: 400, error: { code: 'context_length_exceeded', message: providerErrorMessage } },
    'context_length_exceeded',
  ],
];

for (const [name, script, code] of callersOwn) {
  test(`${name} is the caller's own error: no fallback, and the provider's message alone`, async () => {
    const error = { message: providerErrorMessage, param: rawBody, type: rawBody, ...script.error };
    play({ alpha: { ...script, error } });
    const sessionId = await newSession(parley.url, { provider: 'alpha' });
    for (const streaming of [false, true]) {
      const { status, body } = await send(parley.url, sessionId, 'Hello', { stream: streaming });
      assert.equal(status, 400);
      assert.equal(body.error.code, code);
      assert.equal(body.error.details.provider_message, providerErrorMessage);
      assert.equal(body.error.details.attempts.length, 1);
      assert.doesNotMatch(JSON.stringify(body), new RegExp(rawBody));
    }
    assert.equal(double.requests.length, 2);
    assert.deepEqual(await conversation(sessionId), []);
  });
}

const allFail: [string, Record<string, Script>, number, string][] = [
  ['fails', { alpha: { status: 500 }, beta: { status: 401 } }, 502, 'provider_error'],
  [
    'is too slow',
    { alpha: { raw: [': hm\n\n'], hang: true }, beta: { waitBefore: new Promise(() => undefined) } },
    504,
    'provider_timeout',
  ],
  ['limits requests', { alpha: { status: 429 }, beta: { status: 429 } }, 429, 'provider_rate_limited'],
  ['fails in its own way', { alpha: { status: 429 }, beta: { status: 500 } }, 502, 'provider_error'],
];

for (const [name, scripts, expected, code] of allFail) {
  test(`when everyone ${name} the answer is ${expected} with the attempts, streaming or not`, async () => {
    const error = { message: `${rawBody} the-key-of-alpha`, code: rawBody };
    play(Object.fromEntries(Object.entries(scripts).map(([who, script]) => [who, { error, ...script }])));
    const sessionId = await newSession(parley.url, { provider: 'alpha' });
    for (const streaming of [false, true]) {
      const { status, body, headers }: Answer = await send(parley.url, sessionId, 'Hello', {
        stream: streaming,
      });
      assert.equal(status, expected);
      assert.match(headers.get('content-type') ?? '', /^application\/json/);
      assert.equal(body.error.code, code);
      assert.equal(body.request_id, headers.get('x-request-id'));
      assert.deepEqual(
        body.error.details.attempts.map(({ provider }: any) => provider),
        ['alpha', 'beta'],
      );
      assert.doesNotMatch(JSON.stringify(body), new RegExp(`${rawBody}|the-key-of-alpha`));

      const turn = await turnOf({ session_id: sessionId, turn_id: body.error.details.turn_id });
      assert.equal(turn.status, 'failed');
      assert.equal(turn.error.code, code);
      assert.deepEqual(turn.attempts, body.error.details.attempts);
      assert.equal(turn.input[0].content[0].text, 'Hello');
      assert.doesNotMatch(JSON.stringify(turn), new RegExp(`${rawBody}|the-key-of-alpha`));
    }
    assert.deepEqual(await conversation(sessionId), []);
    play({});
    assert.equal((await ask(sessionId, false)).history.length, 2);
  });
}

test('a 429 that everyone gave says when to come back, as the soonest provider asks', async () => {
  play({
    alpha: { status: 429, headers: { 'retry-after': '90' } },
    beta: { status: 429, headers: { 'retry-after-ms': '6500' } },
  });
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  const { status, headers, body } = await send(parley.url, sessionId, 'Hello');
  assert.equal(status, 429);
  assert.equal(headers.get('retry-after'), '7');
  assert.equal(body.error.details.retry_after, 7);
});

const delta = (content: string) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;

const afterFirstToken: Record<string, [script: Script, code: string, error: object]> = {
  'falls silent': [
    { text: ['Once ', 'upon', ' a'], waitAt: { piece: 3, wait: new Promise(() => undefined) } },
    'provider_timeout',
    { kind: 'timeout', clock: 'idle' },
  ],
  'cuts the connection': [
    {
      raw: [delta('Once '), delta('upon'), ': the end'],
      cut: { afterBytes: 10_000 },
      contentType: 'text/event-stream',
    },
    'provider_error',
    { kind: 'interrupted', http_status: 200 },
  ],
  errs: [
    { text: ['Once ', 'upon'], error: { code: 500, message: rawBody } },
    'provider_error',
    { kind: 'interrupted', http_status: 200 },
  ],
  'ends without a reason': [
    { text: ['Once ', 'upon'], finishReason: null, done: false },
    'provider_error',
    { kind: 'interrupted', http_status: 200 },
  ],
};

for (const [name, [script, code, error]] of Object.entries(afterFirstToken)) {
  test(`a provider that ${name} after its first token ends the turn: no fallback, partial output kept`, async () => {
    play({ alpha: script });
    const sessionId = await newSession(parley.url, { provider: 'alpha' });
    const { status, events } = await stream(parley.url, sessionId, 'Tell');
    assert.equal(status, 200);
    assert.deepEqual(
      events.map(({ event }) => event),
      ['turn.started', 'message.delta', 'message.delta', 'turn.failed'],
    );
    const failed = events.at(-1)?.data;
    assert.equal(failed.error.code, code);
    assert.deepEqual(errorsOf(failed.error.details.attempts), [['alpha', error]]);
    assert.doesNotMatch(JSON.stringify(failed), new RegExp(rawBody));
    assert.equal(double.requests.length, 1);

    const turn = await turnOf({ session_id: sessionId, turn_id: events[0]?.data.turn_id });
    assert.equal(turn.status, 'failed');
    assert.equal(turn.error.code, code);
    assert.equal(turn.output[0].content[0].text, 'Once upon');
    assert.equal(turn.output[0].status, 'incomplete');
    assert.deepEqual(await conversation(sessionId), []);

    play({});
    await ask(sessionId, false);
    const contents = double.last.body.messages.map(({ content }) => content);
    assert.deepEqual(contents, ['Hello']);
  });
}

test('a failed target is asked again in the next turn', async () => {
  play({ alpha: { status: 500 } });
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  assert.equal((await ask(sessionId, false)).provider, 'beta');
  play({ alpha: { text: 'alpha is back' } });
  const { body } = await send(parley.url, sessionId, 'Hello');
  assert.deepEqual([body.provider, body.provider_source], ['alpha', 'session']);
});

test('the upstream call of a target that was too slow is aborted', async () => {
  play({ alpha: { waitBefore: new Promise(() => undefined) } });
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  await ask(sessionId, false);
  const [slow] = double.requests;
  await slow?.ended;
  assert.equal(slow?.aborted, true);
});
