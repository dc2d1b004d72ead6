import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ProviderError, type ProviderEvent } from '../provider.ts';
import { createChatAnswer } from './chat-answer.ts';

/** The events of this body, or the kind of failure. */
function read(...chunks: (string | Uint8Array)[]): readonly ProviderEvent[] | string {
  const reader = createChatAnswer({
    model: 'asked',
    status: 200,
    redact: (text) => text,
    tellsFrames: false,
  });
  for (const chunk of chunks) reader.push(Buffer.from(chunk as string));
  reader.end();
  const { state } = reader;
  if (state instanceof ProviderError) return state.kind;
  assert.equal(state, 'complete');
  const events = reader.take();
  assert.deepEqual(reader.take(), []);
  return events;
}

const answer = (message: unknown, finish_reason: unknown = 'stop', rest: object = {}) =>
  JSON.stringify({ choices: [{ index: 0, message, finish_reason }], ...rest });

test('an answer is one delta of each kind, its calls, and finish', () => {
  const message = {
    content: 'Hello',
    reasoning: 'Hm',
    refusal: 'No',
    tool_calls: [
      { id: 'a', function: { name: 'f', arguments: '{}' } },
      { id: 'b', function: { name: 'g', arguments: '{"x":1}' } },
    ],
  };
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 6, cost: 0.5 };
  assert.deepEqual(read(answer(message, 'tool_calls', { model: 'real', usage })), [
    { type: 'reasoning-delta', text: 'Hm' },
    { type: 'text-delta', text: 'Hello' },
    { type: 'refusal-delta', text: 'No' },
    { type: 'tool-call', callId: 'a', name: 'f', arguments: '{}' },
    { type: 'tool-call', callId: 'b', name: 'g', arguments: '{"x":1}' },
    {
      type: 'finish',
      reason: 'tool_calls',
      model: 'real',
      usage: {
        input_tokens: 3,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 2,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 6,
        cost: 0.5,
      },
    },
  ]);
});

test('calls without ids stay apart, and get ids of their own', () => {
  const call = { function: { name: 'f', arguments: '{}' } };
  const events = read(answer({ content: null, tool_calls: [call, call] }));
  assert.ok(Array.isArray(events));
  const ids = events.flatMap((event) => (event.type === 'tool-call' ? [event.callId] : []));
  assert.equal(new Set(ids).size, 2);
  assert.ok(ids.every((id) => id.startsWith('call_')));
});

test('the older function_call is a call', () => {
  const events = read(answer({ function_call: { name: 'f', arguments: '{}' } }, 'function_call'));
  assert.ok(Array.isArray(events) && events[0]?.type === 'tool-call' && events[1]?.type === 'finish');
  assert.equal(events[1].reason, 'tool_calls');
});

test('the body may be cut anywhere', () => {
  const bytes = Buffer.from(answer({ content: 'Grüße 👋' }));
  fc.assert(
    fc.property(fc.nat(bytes.length), (at) => {
      assert.deepEqual(read(bytes.subarray(0, at), bytes.subarray(at)), [
        { type: 'text-delta', text: 'Grüße 👋' },
        { type: 'finish', reason: 'stop', usage: null, model: 'asked' },
      ]);
    }),
  );
});

for (const body of [
  '',
  '<html></html>',
  '{"choices":',
  '3',
  'null',
  '[]',
  '{}',
  '{"choices":[]}',
  '{"choices":3}',
]) {
  test(`a body of "${body}" is no answer`, () => assert.equal(read(body), 'invalid_answer'));
}

test('a choice without a message is no answer', () => {
  assert.equal(read('{"choices":[{}]}'), 'invalid_answer');
  assert.equal(read('{"choices":[null]}'), 'invalid_answer');
  assert.equal(read(answer('text')), 'invalid_answer');
});

test('an error inside a success is classified by its code', () => {
  assert.equal(read(JSON.stringify({ error: { code: 429, message: 'slow down' } })), 'rate_limited');
  assert.equal(
    read(JSON.stringify({ error: { code: 'context_length_exceeded' } })),
    'context_length_exceeded',
  );
  assert.equal(read(JSON.stringify({ error: { code: 502 } })), 'invalid_answer');
  assert.equal(read(JSON.stringify({ choices: [{ error: { code: 403 }, message: {} }] })), 'unauthorized');
  assert.equal(read(answer({ content: 'cut o' }, 'error')), 'invalid_answer');
});

test('a body is read to 32 MiB', () => {
  const megabytes = Array.from({ length: 33 }, () => Buffer.alloc(1024 * 1024, ' '));
  assert.ok(Array.isArray(read(...megabytes.slice(2), answer({ content: 'far' }))));
  assert.equal(read(...megabytes.slice(1), answer({ content: 'too far' })), 'answer_too_large');
});
