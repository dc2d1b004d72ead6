import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFinishReason, settledReason } from './chat-wire.ts';

for (const [said, reason] of [
  ['stop', 'stop'],
  ['length', 'length'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'tool_calls'],
  ['content_filter', 'content_filter'],
  ['eos_token', 'stop'],
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['error', 'error'],
  // What nobody knows does not promise a whole answer.
  ['out_of_something', 'length'],
  ['constructor', 'length'],
  ['', null],
  [null, null],
  [undefined, null],
  [3, null],
] as const) {
  test(`the finish reason ${JSON.stringify(said)} is ${reason}`, () => {
    assert.equal(readFinishReason(said), reason);
  });
}

test('calls settle a reason that says nothing of them', () => {
  assert.equal(settledReason(null, 0), 'stop');
  assert.equal(settledReason(null, 1), 'tool_calls');
  assert.equal(settledReason('stop', 1), 'tool_calls');
  assert.equal(settledReason('length', 1), 'length');
});
