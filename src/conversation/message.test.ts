import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Item, MessageItem } from './item.ts';
import { answerMessage, type ChatPart, contentOf, inputItem, messageOf } from './message.ts';

const time = Date.UTC(2026, 10, 5, 12);
const iso = '2026-11-05T12:00:00.000Z';

const said = (text: string, id = 'msg_1'): MessageItem => ({
  type: 'message',
  id,
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
});
const refused: MessageItem = { ...said(''), content: [{ type: 'refusal', refusal: 'No.' }] };
const call: Item = {
  type: 'function_call',
  id: 'fc_1',
  call_id: 'call_1',
  name: 'add',
  arguments: '{"a":1}',
  status: 'completed',
};
const chatCall = { id: 'call_1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } };
const thought: Item = { type: 'reasoning', id: 'rs_1', summary: [], content: [] };

test('a text becomes a message item, with its metadata', () => {
  assert.deepEqual(inputItem({ role: 'user', content: 'Hello', metadata: { a: 'b' } }, 'msg_1'), {
    type: 'message',
    id: 'msg_1',
    role: 'user',
    status: 'completed',
    content: [{ type: 'input_text', text: 'Hello' }],
    metadata: { a: 'b' },
  });
  const plain = inputItem({ role: 'developer', content: 'Hello' }, 'msg_1');
  assert.equal('metadata' in plain, false);
});

test('parts become input parts, and come back as they were', () => {
  const content: ChatPart[] = [
    { type: 'text', text: 'Look:' },
    { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } },
    { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } },
    { type: 'file', file: { file_id: 'file_1' } },
    { type: 'file', file: { file_url: 'https://example.org/a.pdf' } },
  ];
  const item = inputItem({ role: 'user', content }, 'msg_1');
  assert.ok(item.type === 'message');
  assert.deepEqual(item.content.slice(0, 3), [
    { type: 'input_text', text: 'Look:' },
    { type: 'input_image', image_url: 'https://example.org/a.png' },
    { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'low' },
  ]);
  assert.deepEqual(item.content[4], { type: 'input_file', file_id: 'file_1' });
  assert.deepEqual(contentOf(item), content);
});

test('content that is only text comes back as one string', () => {
  const text = fc.array(fc.string());
  fc.assert(
    fc.property(text, (texts) => {
      const content = texts.map((part): ChatPart => ({ type: 'text', text: part }));
      const item = inputItem({ role: 'user', content }, 'msg_1');
      assert.equal(contentOf(item), texts.length === 0 ? null : texts.join(''));
    }),
  );
});

test('the result of a tool is text and names its call', () => {
  const parts: ChatPart[] = [
    { type: 'text', text: '4' },
    { type: 'image_url', image_url: { url: 'https://example.org/' } },
    { type: 'text', text: '2' },
  ];
  const item = inputItem({ role: 'tool', content: parts, toolCallId: 'call_1' }, 'fco_1');
  const expected = {
    type: 'function_call_output',
    id: 'fco_1',
    call_id: 'call_1',
    output: '42',
    status: 'completed',
  };
  assert.deepEqual(item, expected);
  assert.deepEqual(messageOf(item, 'turn', time), {
    id: 'fco_1',
    turn_id: 'turn',
    role: 'tool',
    content: '42',
    tool_call_id: 'call_1',
    created_at: iso,
    metadata: {},
  });
});

test('a message shows its role, content, time and metadata', () => {
  const item = inputItem({ role: 'system', content: 'Hello', metadata: { a: 'b' } }, 'msg_1');
  assert.deepEqual(messageOf(item, 'turn', time), {
    id: 'msg_1',
    turn_id: 'turn',
    role: 'system',
    content: 'Hello',
    created_at: iso,
    metadata: { a: 'b' },
  });
});

test('a call shows as an assistant message without content', () => {
  const message = messageOf(call, 'turn', time);
  assert.equal(message.role, 'assistant');
  assert.equal(message.content, null);
  assert.deepEqual(message.tool_calls, [chatCall]);
});

test('a refusal shows as its part', () => {
  assert.deepEqual(messageOf(refused, 'turn', time).content, [{ type: 'refusal', refusal: 'No.' }]);
});

test('an output is one assistant message: joined text and all calls', () => {
  const message = answerMessage([thought, said('One ', 'msg_1'), call, said('two', 'msg_2')], 'turn', time);
  assert.deepEqual(message, {
    id: 'msg_1',
    turn_id: 'turn',
    role: 'assistant',
    content: 'One two',
    tool_calls: [chatCall],
    created_at: iso,
    metadata: {},
  });
});

test('an output of calls alone has no content, and one of text has no calls', () => {
  assert.equal(answerMessage([call], 'turn', time)?.content, null);
  assert.equal('tool_calls' in (answerMessage([said('Hi')], 'turn', time) ?? {}), false);
});

test('an output keeps a refusal beside its text', () => {
  const parts = [
    { type: 'text', text: 'Hm.' },
    { type: 'refusal', refusal: 'No.' },
  ];
  assert.deepEqual(answerMessage([said('Hm.'), refused], 'turn', time)?.content, parts);
  assert.deepEqual(answerMessage([refused], 'turn', time)?.content, parts.slice(1));
});

test('an output without messages and calls is no message, but empty text is one', () => {
  assert.equal(answerMessage([thought], 'turn', time), null);
  assert.equal(answerMessage([thought, said('')], 'turn', time)?.content, '');
});
