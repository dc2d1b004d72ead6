import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ChatMessage } from '../../conversation/chat-message.ts';
import type { PromptItem } from '../../conversation/item.ts';
import type { Continuation, Prompt } from '../provider.ts';
import { chatRequest as requestOf } from './chat-request.ts';

/** With messages that are made of items. */
const requestFor = (...given: Parameters<typeof requestOf>) => {
  const { messages, ...request } = requestOf(...given);
  return { ...request, messages: messages as readonly ChatMessage[] };
};

const user = (text: string): PromptItem => ({
  type: 'message',
  id: 'msg',
  role: 'user',
  status: 'completed',
  content: [{ type: 'input_text', text }],
  metadata: { secret: 'note' },
});
const said = (text: string): PromptItem => ({
  type: 'message',
  id: 'msg',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
});
const call = (id: string): PromptItem => ({
  type: 'function_call',
  id: `fc_${id}`,
  call_id: id,
  name: 'add',
  arguments: '{}',
  status: 'completed',
});
const result = (id: string): PromptItem => ({
  type: 'function_call_output',
  id: `fco_${id}`,
  call_id: id,
  output: `result of ${id}`,
  status: 'completed',
});
const chatCall = (id: string) => ({ id, type: 'function', function: { name: 'add', arguments: '{}' } });
const thought: PromptItem = {
  type: 'reasoning',
  id: 'rs',
  summary: [],
  content: [{ type: 'reasoning_text', text: 'hm' }],
};

function promptOf(items: readonly PromptItem[], rest: Partial<Prompt> = {}): Prompt {
  return {
    model: 'model-1',
    instructions: null,
    items,
    options: {},
    stream: true,
    continueFrom: null,
    ...rest,
  };
}

function chatRequest(prompt: Prompt, continuation: Continuation = 'none') {
  return requestFor(prompt, continuation);
}

test('instructions come first, as a system message; text goes as a plain string', () => {
  const { messages } = chatRequest(promptOf([user('Hello')], { instructions: 'Be brief.' }));
  assert.deepEqual(messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hello' },
  ]);
});

test('an answer and its calls are one message, followed by the results', () => {
  const items = [
    user('Add'),
    thought,
    said('Let me see.'),
    call('a'),
    call('b'),
    result('a'),
    result('b'),
    said('42'),
  ];
  assert.deepEqual(chatRequest(promptOf([...items, user('Thanks')])).messages, [
    { role: 'user', content: 'Add' },
    { role: 'assistant', content: 'Let me see.', tool_calls: [chatCall('a'), chatCall('b')] },
    { role: 'tool', tool_call_id: 'a', content: 'result of a' },
    { role: 'tool', tool_call_id: 'b', content: 'result of b' },
    { role: 'assistant', content: '42' },
    { role: 'user', content: 'Thanks' },
  ]);
});

test('calls without text have null content; an empty answer has empty content', () => {
  assert.deepEqual(chatRequest(promptOf([call('a'), result('a'), said('')])).messages, [
    { role: 'assistant', content: null, tool_calls: [chatCall('a')] },
    { role: 'tool', tool_call_id: 'a', content: 'result of a' },
    { role: 'assistant', content: '' },
  ]);
});

test('reasoning is not sent back', () => {
  assert.deepEqual(chatRequest(promptOf([thought])).messages, []);
});

test('a refusal goes as a refusal', () => {
  const refused: PromptItem = { ...said(''), content: [{ type: 'refusal', refusal: 'No.' }] } as PromptItem;
  assert.deepEqual(chatRequest(promptOf([refused])).messages, [
    { role: 'assistant', content: null, refusal: 'No.' },
  ]);
});

test('images and files go as parts', () => {
  const look: PromptItem = {
    type: 'message',
    id: 'msg',
    role: 'user',
    status: 'completed',
    content: [
      { type: 'input_text', text: 'Look:' },
      { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'high' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
    ],
  };
  assert.deepEqual(chatRequest(promptOf([look])).messages[0]?.content, [
    { type: 'text', text: 'Look:' },
    { type: 'image_url', image_url: { url: 'https://example.org/a.png', detail: 'high' } },
    { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } },
  ]);
});

test('options pass through, but do not contradict the prompt', () => {
  const options = {
    temperature: 0.5,
    tools: [{ type: 'function' }],
    model: 'other',
    messages: [],
    stream: false,
    stream_options: { include_usage: false, include_obfuscation: false },
    tool_name: 'chat',
  };
  assert.deepEqual(chatRequest(promptOf([user('Hello')], { options })), {
    temperature: 0.5,
    tools: [{ type: 'function' }],
    model: 'model-1',
    messages: [{ role: 'user', content: 'Hello' }],
    stream: true,
    stream_options: { include_usage: true, include_obfuscation: false },
  });
  const whole = chatRequest(
    promptOf([user('Hello')], { options: { ...options, stream: true }, stream: false }),
  );
  assert.equal(whole.stream, false);
  assert.equal('stream_options' in whole, false);
});

describe('going on with an answer', () => {
  const begun = { instructions: 'Be brief.', continueFrom: 'Once upon a' };
  const before = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Tell me a story' },
  ];
  const messagesFor = (continuation: Continuation, items: PromptItem[], rest: Partial<Prompt> = begun) =>
    chatRequest(promptOf(items, rest), continuation).messages;

  test('by prefill, its beginning is the last message', () => {
    assert.deepEqual(messagesFor('prefill', [user('Tell me a story')]), [
      ...before,
      { role: 'assistant', content: 'Once upon a' },
    ]);
  });

  test('by instruction, a message after it says to go on exactly there', () => {
    const messages = messagesFor('instruct', [user('Tell me a story')]);
    assert.deepEqual(messages.slice(0, -1), [...before, { role: 'assistant', content: 'Once upon a' }]);
    const last = messages.at(-1);
    assert.equal(last?.role, 'user');
    const { content } = last;
    assert.ok(typeof content === 'string');
    assert.match(content, /exactly after its last character.*repeat nothing.*no introduction/);
  });

  test('a provider that can only answer anew is sent nothing of it', () => {
    assert.deepEqual(messagesFor('none', [user('Tell me a story')]), before);
  });

  test('what the model has said since the last input is part of the same message', () => {
    const items = [user('Add'), call('a'), result('a'), said('It is 42. ')];
    assert.deepEqual(messagesFor('prefill', items, { continueFrom: 'And so' }).slice(-2), [
      { role: 'tool', tool_call_id: 'a', content: 'result of a' },
      { role: 'assistant', content: 'It is 42. And so' },
    ]);
  });

  test('a result of a call is followed by the beginning of the answer', () => {
    const items = [user('Add'), call('a'), result('a')];
    assert.deepEqual(messagesFor('prefill', items, { continueFrom: 'It is' }).slice(-2), [
      { role: 'tool', tool_call_id: 'a', content: 'result of a' },
      { role: 'assistant', content: 'It is' },
    ]);
  });

  test('without a beginning the way of going on changes nothing', () => {
    const prompt = promptOf([user('Hello'), said('Hi'), user('And?')], { options: { temperature: 0 } });
    for (const continuation of ['prefill', 'instruct'] as const) {
      assert.deepEqual(chatRequest(prompt, continuation), chatRequest(prompt, 'none'));
    }
  });
});

test('messages are sent as the caller wrote them, and what is to be gone on with after them', () => {
  const messages = [
    {
      role: 'user',
      content: [{ type: 'input_audio', input_audio: { data: 'AA', format: 'wav' } }],
      name: 'ada',
    },
    { role: 'user', content: 'x', cache_control: { type: 'ephemeral' } },
  ];
  const prompt = { ...promptOf([user('another')]), messages };
  assert.deepEqual(requestOf(prompt, 'none').messages, messages);
  const rescued = requestOf({ ...prompt, continueFrom: 'Once' }, 'prefill').messages;
  assert.deepEqual(rescued, [...messages, { role: 'assistant', content: 'Once' }]);
});
