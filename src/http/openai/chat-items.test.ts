import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../errors.ts';
import { chatItems, newMessages, splitInstructions } from './chat-items.ts';
import { chatRequest } from './chat-request.ts';

const CALL = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } };

describe('the messages of a chat completion', () => {
  it('become the items that they are', () => {
    const items = chatItems(
      [
        { role: 'system', content: 'Be kind' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look:' },
            { type: 'image_url', image_url: { url: 'data:,' } },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [CALL] },
        { role: 'tool', tool_call_id: 'c1', content: [{ type: 'text', text: 'a tree' }] },
        { role: 'assistant', content: 'A tree.', refusal: 'No more.' },
        { role: 'assistant', content: '' },
      ],
      true,
    );
    assert.deepEqual(
      items.map((item) => [
        item.type,
        'role' in item ? item.role : undefined,
        'content' in item ? item.content?.length : 'output' in item ? item.output : undefined,
      ]),
      [
        ['message', 'system', 1],
        ['message', 'user', 2],
        ['function_call', undefined, undefined],
        ['function_call_output', undefined, 'a tree'],
        ['message', 'assistant', 2],
      ],
    );
  });

  it('that no item can hold are noted, or refused where they would be lost', () => {
    const audio = [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }];
    const [item] = chatItems(audio, false);
    assert.deepEqual(item?.type === 'message' && item.content, [
      { type: 'input_text', text: '[input_audio]' },
    ]);
    assert.throws(() => chatItems(audio, true), { code: 'unsupported_parameter' });
    for (const wrong of [
      1,
      {},
      { role: 'function', content: '' },
      { role: 'assistant', function_call: 1 },
      { role: 'nobody', content: '' },
      { role: 'tool', content: '' },
      { role: 'user' },
      { role: 'assistant', tool_calls: [{}] },
    ]) {
      assert.throws(() => chatItems([wrong], false), AppError, JSON.stringify(wrong));
    }
  });

  it('of older and other tools are calls and results where nothing is stored, and are refused where it is', () => {
    const messages = [
      { role: 'assistant', content: null, function_call: { name: 'look', arguments: '{}' } },
      { role: 'function', name: 'look', content: 'a tree' },
      { role: 'assistant', tool_calls: [{ id: 'c2', type: 'custom', custom: { name: 'run', input: 'ls' } }] },
      { role: 'tool', tool_call_id: 'c2', content: 'files' },
    ];
    assert.deepEqual(
      chatItems(messages, false).map((item) =>
        item.type === 'function_call'
          ? [item.call_id, item.name, item.arguments]
          : 'output' in item && item.output,
      ),
      [['look', 'look', '{}'], 'a tree', ['c2', 'run', 'ls'], 'files'],
    );
    for (const message of messages.slice(0, 3)) {
      assert.throws(() => chatItems([message], true), { code: 'unsupported_parameter' });
    }
  });

  it('are refused where something in a result or an instruction is no text and would be lost', () => {
    const image = [{ type: 'image_url', image_url: { url: 'https://images.example/1.png' } }];
    const result = [{ role: 'tool', tool_call_id: 'c1', content: image }];
    const details = { param: 'messages[0].content[0]', reason: 'only parts of text are supported here' };
    assert.throws(() => chatItems(result, true), { code: 'unsupported_parameter', details });
    assert.equal(chatItems(result, false).length, 1);
    assert.throws(() => chatItems([{ role: 'tool', tool_call_id: 'c1' }], true), { code: 'invalid_request' });
    assert.throws(() => splitInstructions([{ role: 'system', content: image }]), {
      code: 'unsupported_parameter',
    });
    assert.throws(() => splitInstructions([{ role: 'system', content: 5 }]), { code: 'invalid_request' });
  });

  it('in a session are those after the last answer, and what stands before all is an instruction', () => {
    const [system, developer] = [
      { role: 'system', content: 'A' },
      { role: 'developer', content: [{ type: 'text', text: 'B' }] },
    ];
    const [user, answer] = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'y' },
    ];
    const { instructions, rest } = splitInstructions([system, developer, user, answer, user]);
    assert.deepEqual([instructions, rest], ['A\n\nB', [user, answer, user]]);
    assert.deepEqual(newMessages(rest), [user]);
    assert.deepEqual(newMessages([user, answer]), []);
    assert.deepEqual(splitInstructions([user]), { instructions: undefined, rest: [user] });
    assert.deepEqual(splitInstructions([system]), { instructions: 'A', rest: [] });
  });

  it('are taken or refused, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 4 })), fc.boolean(), (messages, keepsAll) => {
        try {
          chatItems(newMessages(splitInstructions(messages).rest), keepsAll);
        } catch (error) {
          assert.ok(error instanceof AppError, String(error));
        }
      }),
    );
  });

  it('are counted in what is said of them as the request has them', () => {
    const messages = [
      { role: 'system', content: 'A' },
      { role: 'assistant', content: 'B' },
      { role: 'user', content: 'C' },
      { role: 'nobody', content: 'D' },
    ];
    const isOfPlace = (error: unknown) => Object(error).details?.param === 'messages[3].role';
    assert.throws(() => chatRequest({ messages }, 'some-session'), isOfPlace);
    assert.throws(() => chatRequest({ messages }, undefined), isOfPlace);
  });
});
