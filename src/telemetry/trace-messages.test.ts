import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type {
  FunctionCallItem,
  FunctionCallOutputItem,
  MessagePart,
  PromptItem,
} from '../conversation/item.ts';
import { inputJson, instructionsJson, MAX_CONTENT, outputJson } from './trace-messages.ts';

function message(role: 'user' | 'assistant' | 'system', ...content: MessagePart[]): PromptItem {
  return { type: 'message', id: 'msg', role, status: 'completed', content, metadata: { note: 'mine' } };
}

const asked = (text: string) => message('user', { type: 'input_text', text });
const call: FunctionCallItem = {
  type: 'function_call',
  id: 'fc',
  call_id: 'call_1',
  name: 'add',
  arguments: '{"a":1',
  status: 'completed',
};
const result: FunctionCallOutputItem = {
  type: 'function_call_output',
  id: 'fco',
  call_id: 'call_1',
  output: '3',
  status: 'completed',
};
const thought: PromptItem = {
  type: 'reasoning',
  id: 'rs',
  summary: [],
  content: [{ type: 'reasoning_text', text: 'hm' }],
};

const read = (json: string) => JSON.parse(json);

describe('contents in traces', () => {
  it('have the form of the conventions', () => {
    const made: MessagePart = { type: 'output_text', text: 'Let me see.', annotations: [], logprobs: [] };
    const items = [asked('1 + 2?'), thought, message('assistant', made), call, result, asked('Thanks')];
    assert.deepEqual(read(inputJson(items, null)), [
      { role: 'user', parts: [{ type: 'text', content: '1 + 2?' }] },
      { role: 'assistant', parts: [{ type: 'text', content: 'Let me see.' }] },
      { role: 'assistant', parts: [{ type: 'tool_call', id: 'call_1', name: 'add', arguments: '{"a":1' }] },
      { role: 'tool', parts: [{ type: 'tool_call_response', id: 'call_1', response: '3' }] },
      { role: 'user', parts: [{ type: 'text', content: 'Thanks' }] },
    ]);
    assert.deepEqual(read(instructionsJson('Be kind.')), [{ type: 'text', content: 'Be kind.' }]);
    const output = outputJson([{ type: 'tool_call', id: 'c', name: 'add', arguments: '{}' }], 'tool_calls');
    assert.deepEqual(read(output), [
      {
        role: 'assistant',
        parts: [{ type: 'tool_call', id: 'c', name: 'add', arguments: '{}' }],
        finish_reason: 'tool_call',
      },
    ]);
  });

  it('name images and files, and do not show them', () => {
    const image: MessagePart = { type: 'input_image', image_url: 'data:image/png;base64,SECRET' };
    const file: MessagePart = { type: 'input_file', filename: 'SECRET.pdf', file_data: 'data:,SECRET' };
    const json = inputJson([message('user', { type: 'input_text', text: 'Look' }, image, file)], null);
    assert.deepEqual(read(json), [
      { role: 'user', parts: [{ type: 'text', content: 'Look' }, { type: 'image' }, { type: 'file' }] },
    ]);
  });

  it('leave out the oldest where there is no room, and cut what is longer than all of it', () => {
    const long = 'x'.repeat(MAX_CONTENT - 1000);
    const kept = read(
      inputJson([asked('oldest'), asked(long), asked('y'.repeat(900)), asked('newest')], null),
    );
    assert.deepEqual(
      kept.map(({ parts }: any) => parts[0].content.slice(0, 6)),
      ['xxxxxx', 'yyyyyy', 'newest'],
    );
    const [only, ...others] = read(inputJson([asked('before'), asked('z'.repeat(MAX_CONTENT * 2))], null));
    assert.equal(only.parts[0].content, `${'z'.repeat(MAX_CONTENT)}…`);
    assert.deepEqual(others, []);
  });

  it('are JSON of a bounded length, whatever is said', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.nat(MAX_CONTENT * 2).map((length) => 'a'.repeat(length)),
    );
    const part: fc.Arbitrary<MessagePart> = fc.oneof(
      text.map((text): MessagePart => ({ type: 'input_text', text })),
      fc.constant<MessagePart>({ type: 'input_image', image_url: 'https://example.org/a.png' }),
    );
    const item: fc.Arbitrary<PromptItem> = fc.oneof(
      fc.array(part, { maxLength: 20 }).map((parts) => message('user', ...parts)),
      text.map((output): PromptItem => ({ ...result, output })),
      text.map((given): PromptItem => ({ ...call, arguments: given })),
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 40 }), fc.option(text), (items, continueFrom) => {
        const json = inputJson(items, continueFrom);
        assert.ok(Array.isArray(read(json)));
        // Six characters may stand for one in JSON, and what is around each part is counted only roughly.
        assert.ok(json.length < MAX_CONTENT * 12, String(json.length));
      }),
    );
    const many = Array.from({ length: 100_000 }, () => asked(''));
    assert.ok(inputJson(many, null).length < MAX_CONTENT * 2);
  });
});
