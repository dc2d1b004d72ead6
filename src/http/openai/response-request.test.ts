import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { newId } from '../../conversation/id.ts';
import { AppError } from '../../errors.ts';
import { conversationIdOf, turnIdOf } from './ids.ts';
import { responseRequest } from './response-request.ts';
import { chosenTools, responseTools } from './response-tools.ts';

const read = (more: object) => responseRequest({ input: 'x', ...more });

describe('a request for a response', () => {
  it('is told to the provider in the words of Chat Completions', () => {
    const schema = { type: 'object' };
    const cases: [object, object][] = [
      [{}, {}],
      [
        { max_output_tokens: 5, temperature: 0, top_p: 1 },
        { max_completion_tokens: 5, temperature: 0, top_p: 1 },
      ],
      [{ reasoning: { effort: 'low', summary: 'auto' } }, { reasoning_effort: 'low' }],
      [{ text: { format: { type: 'text' } } }, {}],
      [
        { text: { format: { type: 'json_object' }, verbosity: 'low' } },
        { response_format: { type: 'json_object' }, verbosity: 'low' },
      ],
      [
        { text: { format: { type: 'json_schema', name: 'n', schema, strict: true, description: 'd' } } },
        {
          response_format: {
            type: 'json_schema',
            json_schema: { name: 'n', schema, description: 'd', strict: true },
          },
        },
      ],
      // Without tools there is nothing that they could be about.
      [{ parallel_tool_calls: false, tool_choice: 'auto' }, {}],
      [
        {
          tools: [{ type: 'function', name: 'f', parameters: schema, strict: false }],
          tool_choice: 'required',
        },
        {
          tools: [{ type: 'function', function: { name: 'f', parameters: schema, strict: false } }],
          tool_choice: 'required',
        },
      ],
    ];
    for (const [body, options] of cases) assert.deepEqual(read(body).options, options, JSON.stringify(body));
  });

  it('chooses among functions in every way there is', () => {
    const tools = [{ type: 'function', name: 'f' }];
    const choose = (tool_choice: unknown) => responseTools({ tools, tool_choice }).options['tool_choice'];
    const named = { type: 'function', function: { name: 'f' } };
    assert.deepEqual(choose({ type: 'function', name: 'f' }), named);
    assert.deepEqual(
      choose({ type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'f' }] }),
      { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named] } },
    );
  });

  it('is shown again as it was given', () => {
    const body = {
      model: 'p/m',
      instructions: 'Be kind',
      metadata: { a: 'b' },
      temperature: 0.5,
      background: true,
      tools: [{ type: 'function', name: 'f' }],
      tool_choice: { type: 'function', name: 'f' },
      user: null,
    };
    assert.deepEqual(read(body).shown, {
      model: 'p/m',
      instructions: 'Be kind',
      metadata: { a: 'b' },
      temperature: 0.5,
      background: true,
      tools: [{ type: 'function', name: 'f', description: null, parameters: null, strict: null }],
      tool_choice: { type: 'function', name: 'f' },
    });
  });

  it('names its place', () => {
    const [sessionId, turnId] = [newId(), newId()];
    const id = turnIdOf('resp', { sessionId, turnId });
    assert.deepEqual(read({ previous_response_id: id }).previous, { sessionId, turnId });
    const conversation = conversationIdOf(sessionId);
    assert.equal(read({ conversation }).conversation, sessionId);
    assert.equal(read({ conversation: { id: conversation } }).conversation, sessionId);
  });

  it('is refused with the name of the field', () => {
    const mcp = (more: object) => ({ tools: [{ type: 'mcp', server_label: 's', ...more }] });
    const pairs = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v']));
    const cases: [object, string, string][] = [
      [{ input: undefined }, 'invalid_request', 'input'],
      [{ model: '' }, 'invalid_request', 'model'],
      [{ model: '\ud800' }, 'invalid_request', 'model'],
      [{ instructions: 1 }, 'invalid_request', 'instructions'],
      [{ temperature: 3 }, 'invalid_request', 'temperature'],
      [{ max_output_tokens: 0.5 }, 'invalid_request', 'max_output_tokens'],
      [{ metadata: pairs }, 'invalid_request', 'metadata'],
      [{ metadata: { a: 1 } }, 'invalid_request', 'metadata.a'],
      [{ metadata: { a: 'x'.repeat(513) } }, 'invalid_request', 'metadata.a'],
      [{ conversation: {} }, 'invalid_request', 'conversation'],
      [{ conversation: 'conv_1' }, 'session_not_found', 'conversation'],
      [{ previous_response_id: 'resp_1' }, 'previous_response_not_found', 'previous_response_id'],
      [{ store: false, background: true }, 'unsupported_parameter', 'background'],
      [{ include: ['web_search_call.results'] }, 'unsupported_parameter', 'include[0]'],
      [{ top_logprobs: 2 }, 'unsupported_parameter', 'top_logprobs'],
      [
        { stream: true, stream_options: { include_obfuscation: true } },
        'unsupported_parameter',
        'stream_options.include_obfuscation',
      ],
      [{ text: { format: { type: 'xml' } } }, 'invalid_request', 'text.format.type'],
      [{ text: { format: { type: 'json_schema', name: 'n' } } }, 'invalid_request', 'text.format.schema'],
      [{ reasoning: { summary: 'detailed' } }, 'unsupported_parameter', 'reasoning.summary'],
      [{ reasoning: { mode: 'deep' } }, 'unsupported_parameter', 'reasoning.mode'],
      [{ tools: [{ type: 'web_search' }] }, 'unsupported_parameter', 'tools[0].type'],
      [{ tools: [{ type: 'function' }] }, 'invalid_request', 'tools[0].name'],
      [mcp({ server_url: 'http://x' }), 'unsupported_parameter', 'tools[0].server_url'],
      [mcp({ headers: {} }), 'unsupported_parameter', 'tools[0].headers'],
      [mcp({ allowed_tools: 'x' }), 'invalid_request', 'tools[0].allowed_tools'],
      [mcp({ require_approval: 'maybe' }), 'invalid_request', 'tools[0].require_approval'],
      [{ tool_choice: 'required' }, 'invalid_request', 'tool_choice'],
      [{ ...mcp({}), tool_choice: { type: 'mcp' } }, 'unsupported_parameter', 'tool_choice.type'],
    ];
    for (const [body, code, param] of cases) {
      assert.throws(
        () => read(body),
        (error: unknown) => {
          assert.ok(error instanceof AppError, String(error));
          assert.deepEqual([error.code, error.details?.['param']], [code, param], JSON.stringify(body));
          return true;
        },
      );
    }
  });

  it('is taken or refused, whatever it is', () => {
    const names = [
      'input',
      'tools',
      'tool_choice',
      'text',
      'reasoning',
      'include',
      'metadata',
      'conversation',
    ];
    const body = fc.dictionary(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 4 }));
    fc.assert(
      fc.property(body, (given) => {
        try {
          responseRequest(given);
        } catch (error) {
          assert.ok(error instanceof AppError && error.status < 500, String(error));
        }
      }),
    );
  });
});

describe('what a response asks of servers', () => {
  const known = ['read', 'write', 'list'].map((name) => ({ server: 'files', name }));
  const choose = (...tools: object[]) =>
    chosenTools(responseTools({ tools: tools.map((tool) => ({ type: 'mcp', ...tool })) }).mcp ?? [], known, [
      'away',
    ]);

  it('is patterns of their tools, all of them to be approved unless it says otherwise', () => {
    const files = { server_label: 'files' };
    assert.deepEqual(choose(files), { choice: ['files'], requireApproval: ['files'] });
    assert.deepEqual(choose({ ...files, allowed_tools: ['read'], require_approval: 'never' }), {
      choice: ['files.read'],
      requireApproval: [],
    });
    assert.deepEqual(
      choose({ ...files, require_approval: { never: { tool_names: ['read'] } } }).requireApproval,
      ['files.write', 'files.list'],
    );
    assert.deepEqual(
      choose({ ...files, require_approval: { always: { tool_names: ['write'] } } }).requireApproval,
      ['files.write'],
    );
    assert.deepEqual(choose(), { choice: 'none', requireApproval: [] });
    assert.deepEqual(choose({ server_label: 'away' }).choice, ['away']);
    assert.deepEqual(
      choose({ server_label: 'away', require_approval: { never: { tool_names: ['x'] } } }).requireApproval,
      ['away'],
    );
    assert.throws(() => choose({ server_label: 'nobody' }), AppError);
  });
});
