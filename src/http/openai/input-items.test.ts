import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../errors.ts';
import { inputItems } from './input-items.ts';
import { itemView } from './item-view.ts';
import { openAIErrorBody } from './openai-error.ts';

/** What the client is told. */
function refusal(input: unknown): { code: string; param: string | null; message: string } {
  try {
    inputItems(input);
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return openAIErrorBody(error).error;
  }
  throw new Error('it was taken');
}

describe('the input of a client of OpenAI', () => {
  it('may be a text, or messages in short', () => {
    const [said] = inputItems('Hello');
    assert.ok(said?.type === 'message');
    assert.match(said.id, /^msg_[0-9a-f]{32}$/);
    assert.deepEqual(
      [said.role, said.status, said.content],
      ['user', 'completed', [{ type: 'input_text', text: 'Hello' }]],
    );
    const [answer] = inputItems([{ role: 'assistant', content: 'Hi' }]);
    assert.deepEqual(answer?.type === 'message' && answer.content, [
      { type: 'output_text', text: 'Hi', annotations: [], logprobs: [] },
    ]);
  });

  it('is kept as it came, ids and unknown fields included', () => {
    const given = [
      {
        type: 'message',
        id: 'msg_1',
        role: 'user',
        status: 'completed',
        content: [
          { type: 'input_text', text: 'a', mark: 1 },
          { type: 'input_image', image_url: 'data:,', detail: 'low' },
          { type: 'input_file', file_id: 'f' },
        ],
        phase: 'x',
      },
      {
        type: 'function_call',
        id: 'fc_1',
        call_id: 'c',
        name: 'n',
        arguments: '{',
        status: 'completed',
        more: [1],
      },
      { type: 'function_call_output', id: 'fco_1', call_id: 'c', output: 'o', status: 'completed' },
      {
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 's' }],
        content: [],
        encrypted_content: 'x',
      },
      { type: 'mcp_approval_response', id: 'a', approval_request_id: 'r', approve: true, reason: null },
      { type: 'item_reference', id: 'msg_0' },
    ];
    assert.deepEqual(inputItems(given), given);
  });

  it('takes calls of servers back as it has shown them', () => {
    const call = {
      id: 'mcp_1',
      type: 'mcp_call',
      server_label: 'files',
      name: 'read file',
      arguments: '{}',
      output: null,
      error: { type: 'mcp_tool_execution_error', content: 'no' },
      status: 'failed',
      approval_request_id: null,
    };
    const request = {
      id: 'r',
      type: 'mcp_approval_request',
      server_label: 'files',
      name: 'write',
      arguments: '{}',
    };
    const items = inputItems([call, request]);
    const [made] = items;
    assert.ok(made?.type === 'mcp_call');
    assert.deepEqual([made.function_name, made.error], ['files__read_file', JSON.stringify(call.error)]);
    assert.deepEqual(items[1]?.type === 'mcp_approval_request' && itemView(items[1]), request);
  });

  it('joins the texts of a result', () => {
    const output = [
      { type: 'input_text', text: 'a' },
      { type: 'output_text', text: 'b' },
    ];
    const [item] = inputItems([{ type: 'function_call_output', call_id: 'c', output }]);
    assert.equal(item?.type === 'function_call_output' && item.output, 'ab');
  });

  it('is refused with its place', () => {
    const cases: [unknown, string, string][] = [
      [1, 'invalid_request', 'input'],
      [[1], 'invalid_request', 'input[0]'],
      [[{}], 'invalid_request', 'input[0].type'],
      [[{ role: 'critic', content: '' }], 'invalid_request', 'input[0].role'],
      [[{ role: 'user' }], 'invalid_request', 'input[0].content'],
      [[{ role: 'user', content: [{ type: 'input_text' }] }], 'invalid_request', 'input[0].content[0].text'],
      [
        [{ role: 'user', content: [{ type: 'input_audio' }] }],
        'unsupported_parameter',
        'input[0].content[0].type',
      ],
      [
        [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }],
        'unsupported_parameter',
        'input[0].content[0].file_id',
      ],
      [[{ type: 'computer_call' }], 'unsupported_parameter', 'input[0].type'],
      [[{ type: 'function_call', name: 'n', arguments: '' }], 'invalid_request', 'input[0].call_id'],
      [
        [{ type: 'function_call_output', call_id: 'c', output: [{ type: 'input_image' }] }],
        'unsupported_parameter',
        'input[0].output[0].type',
      ],
      [[{ role: 'user', content: '', id: '' }], 'invalid_request', 'input[0].id'],
      [[{ type: 'mcp_approval_response', approval_request_id: 'r' }], 'invalid_request', 'input[0].approve'],
    ];
    for (const [input, code, param] of cases) {
      const said = refusal(input);
      assert.deepEqual([said.code, said.param], [code, param], JSON.stringify(input));
    }
  });

  it('is taken or refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        try {
          for (const item of inputItems(value)) assert.equal(typeof item.id, 'string');
        } catch (error) {
          assert.ok(error instanceof AppError, String(error));
        }
      }),
    );
  });
});
