/** Every row of the failure table, as a server would cause it, and the kind that the provider makes of it. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ProviderDouble, type Script, startProviderDouble } from '../../../test/provider-double.ts';
import { collect, promptOf } from '../provider.contract.ts';
import { type Provider, ProviderError, type ProviderEvent, type ProviderFailure } from '../provider.ts';
import { createOpenAICompatible } from './openai-compatible.ts';

let double: ProviderDouble;
let provider: Provider;

before(async () => {
  double = await startProviderDouble();
  provider = createOpenAICompatible({
    name: 'local',
    baseUrl: double.url,
    apiKey: null,
    defaultModel: null,
    models: [],
    modelsHaveSlashes: false,
    headers: {},
    contextTokens: null,
    continuation: 'none',
    connections: 8,
  });
});

after(async () => {
  await provider.close();
  await double.close();
});

interface Failure {
  kind: ProviderFailure;
  status: number | undefined;
  retryAfterMilliseconds: number | undefined;
  providerMessage: string | undefined;
  /** What came before it. */
  events: ProviderEvent[];
}

async function failureOf(script: Script, stream: boolean): Promise<Failure> {
  double.respond(script);
  const events: ProviderEvent[] = [];
  try {
    const prompt = { ...promptOf('Hello'), stream };
    for await (const event of provider.stream(prompt, new AbortController().signal)) events.push(event);
  } catch (error) {
    assert.ok(error instanceof ProviderError, String(error));
    const { kind, status, retryAfterMilliseconds, providerMessage } = error;
    return { kind, status, retryAfterMilliseconds, providerMessage, events };
  }
  throw new Error(`a failure was expected, not ${JSON.stringify(events)}`);
}

const piece = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
const errorEvent = (error: unknown) => `data: ${JSON.stringify({ error })}\n\n`;
const tooLong = "This model's maximum context length is 8192 tokens. However, you requested 9000.";
const refused = 'Your request was rejected by our safety system.';

interface Row {
  what: string;
  script: Script;
  kind: ProviderFailure;
  rest?: Partial<Failure>;
}

const wordsOfStatus: Row[] = [
  ...[500, 502, 503, 504, 529].map(
    (status): Row => ({
      what: `status ${status} with a page`,
      script: { status, html: '<html>Bad gateway</html>' },
      kind: 'server_error',
      rest: { status, providerMessage: undefined },
    }),
  ),
  {
    what: 'a server error that says when to come again',
    script: { status: 503, headers: { 'retry-after': '7' } },
    kind: 'server_error',
    rest: { retryAfterMilliseconds: 7000 },
  },
  {
    what: 'a limit with seconds to wait',
    script: { status: 429, headers: { 'retry-after': '3' } },
    kind: 'rate_limited',
    rest: { status: 429, retryAfterMilliseconds: 3000 },
  },
  {
    what: 'a limit with milliseconds to wait',
    script: { status: 429, headers: { 'retry-after': '3', 'retry-after-ms': '250' } },
    kind: 'rate_limited',
    rest: { retryAfterMilliseconds: 250 },
  },
  {
    what: 'a limit without a time',
    script: { status: 429 },
    kind: 'rate_limited',
    rest: { retryAfterMilliseconds: undefined },
  },
  {
    what: 'a context that is too long, by its code',
    script: { status: 400, error: { code: 'context_length_exceeded', message: tooLong } },
    kind: 'context_length_exceeded',
    rest: { status: 400, providerMessage: tooLong },
  },
  {
    what: 'a context that is too long, by its message',
    script: { status: 400, error: { code: 400, message: tooLong } },
    kind: 'context_length_exceeded',
  },
  {
    what: "a content filter, with the provider's reason",
    script: { status: 400, error: { code: 'content_policy_violation', message: refused } },
    kind: 'content_filter',
    rest: { status: 400, providerMessage: refused },
  },
  {
    what: 'a moderation that answers like a bad key',
    script: { status: 403, error: { code: 403, message: refused, metadata: { reasons: ['violence'] } } },
    kind: 'content_filter',
    rest: { providerMessage: refused },
  },
  {
    what: 'an invalid request, with what is wrong with it',
    script: { status: 422, error: { message: 'temperature must be at most 2' } },
    kind: 'bad_request',
    rest: { providerMessage: 'temperature must be at most 2' },
  },
];

const insideSuccess: Row[] = [
  { what: 'an error object', script: { json: { error: { message: 'overloaded' } } }, kind: 'invalid_answer' },
  {
    what: 'an error object with the code of a server error',
    script: { json: { error: { code: 502, message: 'Provider returned error' } } },
    kind: 'invalid_answer',
  },
  {
    what: 'an error object whose own words say more',
    script: { json: { error: { code: 'context_length_exceeded', message: tooLong } } },
    kind: 'context_length_exceeded',
  },
  { what: 'a page', script: { html: '<html>Sign in</html>' }, kind: 'invalid_answer' },
  {
    what: 'JSON that breaks off',
    script: { raw: ['{"choices": [{"mess'], contentType: 'application/json' },
    kind: 'invalid_answer',
  },
  { what: 'no choices', script: { json: { choices: [] } }, kind: 'invalid_answer' },
  { what: 'no body', script: { raw: [] }, kind: 'invalid_answer' },
];

describe('whether the answer is streamed or not', () => {
  for (const { what, script, kind, rest = {} } of [...wordsOfStatus, ...insideSuccess]) {
    test(`${what} is ${kind}, before any event`, async () => {
      for (const stream of [true, false]) {
        const failure = await failureOf(script, stream);
        assert.deepEqual({ ...failure, ...rest, kind, events: [] }, failure);
      }
    });
  }

  test('a date to wait for is a time from now', async () => {
    for (const [offset, least, most] of [
      [120_000, 60_000, 120_000],
      [-120_000, 0, 0],
    ] as const) {
      const date = new Date(Date.now() + offset).toUTCString();
      const { kind, retryAfterMilliseconds } = await failureOf(
        { status: 429, headers: { 'retry-after': date } },
        true,
      );
      assert.equal(kind, 'rate_limited');
      assert.ok(retryAfterMilliseconds !== undefined);
      assert.ok(retryAfterMilliseconds >= least && retryAfterMilliseconds <= most);
    }
  });
});

const brokenStreams: (Row & { rest: { events: ProviderEvent[] } })[] = [
  {
    what: 'an error as the first event',
    script: { raw: [errorEvent({ message: 'overloaded' }), 'data: [DONE]\n\n'] },
    kind: 'invalid_answer',
    rest: { events: [] },
  },
  {
    what: 'an error as the first event that names a limit',
    script: { raw: [errorEvent({ code: 429, message: 'slow down' })] },
    kind: 'rate_limited',
    rest: { events: [] },
  },
  {
    what: 'a first event that is no JSON',
    script: { raw: ['data: <html>\n\n', piece('a')] },
    kind: 'invalid_answer',
    rest: { events: [] },
  },
  {
    what: 'no choices in the whole stream',
    script: { raw: ['data: {"choices":[]}\n\n', 'data: [DONE]\n\n'] },
    kind: 'invalid_answer',
    rest: { events: [] },
  },
  {
    what: 'an error after tokens',
    script: { raw: [piece('a'), errorEvent({ message: 'overloaded' })] },
    kind: 'interrupted',
    rest: { events: [{ type: 'text-delta', text: 'a' }] },
  },
  {
    what: 'a connection that breaks after tokens',
    script: { raw: [piece('a')], cut: { afterBytes: piece('a').length } },
    kind: 'interrupted',
    rest: { events: [{ type: 'text-delta', text: 'a' }] },
  },
  {
    what: 'an end after tokens without a finish reason',
    script: { raw: [piece('a')] },
    kind: 'interrupted',
    rest: { events: [{ type: 'text-delta', text: 'a' }] },
  },
];

describe('in a stream', () => {
  for (const { what, script, kind, rest } of brokenStreams) {
    test(`${what} is ${kind}`, async () => {
      const failure = await failureOf(script, true);
      assert.deepEqual({ ...failure, ...rest, kind, status: 200 }, failure);
    });
  }

  test('one malformed event is skipped, and counted in finish', async () => {
    double.respond({ raw: [piece('a'), 'data: {"choices"\n\n', piece('b'), 'data: [DONE]\n\n'] });
    assert.deepEqual(await collect(provider, promptOf('Hello')), [
      { type: 'text-delta', text: 'a' },
      { type: 'text-delta', text: 'b' },
      { type: 'finish', reason: 'stop', usage: null, model: 'model-1', malformedEvents: 1 },
    ]);
  });

  test('[DONE] may be missing after a finish reason', async () => {
    double.respond({ text: 'whole', done: false, usage: 'never' });
    assert.deepEqual(await collect(provider, promptOf('Hello')), [
      { type: 'text-delta', text: 'whole' },
      { type: 'finish', reason: 'stop', usage: null, model: 'model-1' },
    ]);
  });
});
