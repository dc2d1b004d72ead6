import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProviderFailure } from '../provider.ts';
import { errorInAnswer, errorOfStatus } from './provider-error.ts';

const asIs = (text: string) => text;
const failed = (status: number, error?: unknown, headers = {}) =>
  errorOfStatus({ status, headers, body: JSON.stringify({ error }) }, asIs);

const byStatus: [number, ProviderFailure][] = [
  [301, 'invalid_answer'],
  [400, 'bad_request'],
  [401, 'unauthorized'],
  [402, 'unauthorized'],
  [403, 'unauthorized'],
  [404, 'model_not_found'],
  [408, 'bad_request'],
  [413, 'bad_request'],
  [422, 'bad_request'],
  [429, 'rate_limited'],
  [500, 'server_error'],
  [502, 'server_error'],
  [529, 'server_error'],
];
for (const [status, kind] of byStatus) {
  test(`status ${status} is ${kind}`, () => {
    const error = failed(status);
    assert.deepEqual([error.kind, error.status], [kind, status]);
  });
}

const byWords: [number, object, ProviderFailure][] = [
  [400, { code: 'context_length_exceeded' }, 'context_length_exceeded'],
  [
    400,
    { code: 400, message: "This endpoint's maximum context length is 8192 tokens." },
    'context_length_exceeded',
  ],
  [400, { code: 400, type: 'exceed_context_size_error' }, 'context_length_exceeded'],
  [
    400,
    { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
    'context_length_exceeded',
  ],
  [400, { code: 'content_policy_violation' }, 'content_filter'],
  [400, { code: 'content_filter' }, 'content_filter'],
  [403, { code: 403, metadata: { reasons: ['violence'], flagged_input: 'text' } }, 'content_filter'],
  [400, { code: 'model_not_found' }, 'model_not_found'],
  [400, { code: 'toString' }, 'bad_request'],
  [429, { code: 'insufficient_quota' }, 'rate_limited'],
];
for (const [status, error, kind] of byWords) {
  test(`status ${status} with ${JSON.stringify(error)} is ${kind}`, () => {
    assert.equal(failed(status, error).kind, kind);
  });
}

test('only the message of the error object is kept, as it is made fit', () => {
  const body = JSON.stringify({ error: { message: 'key abc is wrong', param: 'secret' }, secret: true });
  const error = errorOfStatus({ status: 401, headers: {}, body }, (text) => text.replace('abc', '***'));
  assert.equal(error.providerMessage, 'key *** is wrong');
  assert.doesNotMatch(error.message, /abc|secret/);
  assert.equal(failed(400, 'only words').providerMessage, 'only words');
});

test('a body that is no JSON object leaves the status to speak', () => {
  for (const body of [
    '<html>Bad gateway</html>',
    '',
    '3',
    '{"error":',
    '[{"error":{"message":"a"}}]',
    '{"error":null}',
  ]) {
    const error = errorOfStatus({ status: 502, headers: {}, body }, asIs);
    assert.deepEqual([error.kind, error.providerMessage], ['server_error', undefined]);
  }
});

test('the time to wait comes with any status', () => {
  assert.equal(failed(429, undefined, { 'retry-after': '2' }).retryAfterMilliseconds, 2000);
  assert.equal(failed(503, undefined, { 'retry-after-ms': '150' }).retryAfterMilliseconds, 150);
  assert.equal(failed(429).retryAfterMilliseconds, undefined);
});

test('an error inside an answer keeps the status of the answer', () => {
  const context = { model: 'm', status: 200, redact: (text: string) => text.toUpperCase() };
  const error = errorInAnswer({ code: 429, message: 'slow down' }, false, context);
  assert.deepEqual([error.kind, error.status, error.providerMessage], ['rate_limited', 200, 'SLOW DOWN']);
  assert.equal(errorInAnswer({ code: 400 }, false, context).kind, 'bad_request');
  assert.equal(errorInAnswer({ code: 400 }, true, context).kind, 'interrupted');
  assert.equal(errorInAnswer({ code: 'content_filter' }, true, context).kind, 'content_filter');
  assert.equal(errorInAnswer({ code: null }, false, context).kind, 'invalid_answer');
});
