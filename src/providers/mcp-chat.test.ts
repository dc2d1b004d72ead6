import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { startMcpDouble } from '../../test/mcp-double.ts';
import { chatTools } from '../../test/mcp-double-chat.ts';
import { doubleProgram, httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { chatServer } from '../composition/chat-server.ts';
import { createMcpSource } from '../tools/mcp.ts';
import type { McpServerSettings } from '../tools/mcp-settings.ts';
import { type ChatServer, createMcpChat } from './mcp-chat.ts';
import type { ChatToolResult } from './mcp-chat-answer.ts';
import { collect, isFailure, promptOf, providerContract } from './provider.contract.ts';
import type { Prompt, Provider, ProviderEvent } from './provider.ts';

const version = '0.0.0';

function sourceOf(reach: McpServerSettings['reach']) {
  return createMcpSource({ settings: serverSettings(reach), version, bounds: testBounds() });
}

function chatOf(server: ChatServer): Provider {
  return createMcpChat({
    name: 'double',
    tool: 'model-1',
    contextTokens: null,
    server,
    secrets: ['hunter22'],
  });
}

describe('over each transport', async () => {
  const doubles = await Promise.all([startMcpDouble('stateless'), startMcpDouble('sessions')]);
  for (const { state } of doubles) state.extraRuns = chatTools;
  const [stateless, sessions] = doubles;
  const reaches = [
    ['a program', doubleProgram('chat')],
    ['Streamable HTTP, stateless', httpReach(stateless.url)],
    ['Streamable HTTP, with sessions', httpReach(sessions.url)],
  ] as const;
  const sources = reaches.map(([, reach]) => sourceOf(reach));
  // One connection for all tests: the provider that closes leaves it to the others.
  for (const [index, source] of sources.entries()) {
    providerContract(`mcp chat, ${reaches[index]?.[0]}`, async () => ({
      provider: chatOf(chatServer(source, () => true)),
      double: null,
      hasWholeAnswers: true,
    }));
  }
  after(async () => {
    await Promise.all(sources.map((source) => source.close()));
    await Promise.all(doubles.map((double) => double.close()));
  });
});

/** A server that gives this result, and what it was asked. */
function scripted(result: Partial<ChatToolResult>) {
  const asked: { tool: string; args: Readonly<Record<string, unknown>> }[] = [];
  const server: ChatServer = {
    offers: async (tool) => tool !== 'nope',
    call: async (tool, args) => {
      asked.push({ tool, args });
      return { text: '', isError: false, ...result };
    },
  };
  return { provider: chatOf(server), asked };
}

const finish = { type: 'finish', reason: 'stop', usage: null, model: 'model-1' } as const;
const text = (said: string): ProviderEvent => ({ type: 'text-delta', text: said });

describe('the answer in a result', () => {
  const counted = (cached: number, reasoned: number) => ({
    input_tokens: 7,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: 3,
    output_tokens_details: { reasoning_tokens: reasoned },
    total_tokens: 10,
  });
  const table: [string, Partial<ChatToolResult>, ProviderEvent[]][] = [
    ['its text', { text: 'Hi' }, [text('Hi'), finish]],
    ['nothing', {}, [finish]],
    [
      'its text beside data of another kind',
      { text: 'Hi', structured: { result: 'Hi' } },
      [text('Hi'), finish],
    ],
    ['its text beside data that is no object', { text: 'Hi', structured: ['message'] }, [text('Hi'), finish]],
    [
      'its text where the message is null',
      { text: 'Hi', structured: { message: null } },
      [text('Hi'), finish],
    ],
    ['a message that is text', { text: 'no', structured: { message: 'Hi' } }, [text('Hi'), finish]],
    ['a message that is empty', { structured: { message: '' } }, [finish]],
    [
      'a message with parts',
      {
        structured: { message: { role: 'assistant', content: [{ type: 'text', text: 'H' }, { text: 'i' }] } },
      },
      [text('Hi'), finish],
    ],
    [
      'a message with reasoning and a refusal',
      { structured: { message: { reasoning_content: 'Hm', content: null, refusal: 'No' } } },
      [{ type: 'reasoning-delta', text: 'Hm' }, { type: 'refusal-delta', text: 'No' }, finish],
    ],
    [
      'a message with calls',
      {
        structured: {
          message: { tool_calls: [{ id: 'call_9', function: { name: 'f', arguments: { a: 1 } } }] },
          finish_reason: 'stop',
        },
      },
      [
        { type: 'tool-call', callId: 'call_9', name: 'f', arguments: '{"a":1}' },
        { ...finish, reason: 'tool_calls' },
      ],
    ],
    [
      'what else it says',
      { structured: { message: 'Hi', finish_reason: 'length', model: 'gpt-9' } },
      [text('Hi'), { ...finish, reason: 'length', model: 'gpt-9' }],
    ],
    [
      'usage in the words of Chat Completions',
      {
        text: 'Hi',
        structured: {
          usage: { prompt_tokens: 7, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 2 } },
        },
      },
      [text('Hi'), { ...finish, usage: counted(2, 0) }],
    ],
    [
      'usage in the words of the Responses API',
      { text: 'Hi', structured: { usage: counted(4, 1) } },
      [text('Hi'), { ...finish, usage: counted(4, 1) }],
    ],
    [
      'usage that cannot be counted',
      { text: 'Hi', structured: { usage: { tokens: 'many' } } },
      [text('Hi'), finish],
    ],
    ['usage that is none', { text: 'Hi', structured: { usage: 12 } }, [text('Hi'), finish]],
  ];
  for (const [what, result, events] of table) {
    it(`is ${what}`, async () => {
      const { provider } = scripted(result);
      for (const stream of [true, false]) {
        assert.deepEqual(await collect(provider, { ...promptOf('Hello'), stream }), events);
      }
    });
  }

  const failures = [
    ['says that it failed', { isError: true, text: 'no luck' }, 'invalid_answer'],
    [
      'has an error in place of a message',
      { text: 'x', structured: { error: { message: 'no' } } },
      'invalid_answer',
    ],
    ['gave up', { structured: { message: 'Hi', finish_reason: 'error' } }, 'invalid_answer'],
    ['has data without a message', { structured: { answer: 'Hi' } }, 'invalid_answer'],
    ['has a message that is none', { structured: { message: 42 } }, 'invalid_answer'],
    ['has content that is none', { structured: { message: { content: 42 } } }, 'invalid_answer'],
    [
      'has a part that is no text',
      { structured: { message: { content: [{ type: 'image_url' }] } } },
      'invalid_answer',
    ],
    ['has a part that is nothing', { structured: { message: { content: [null] } } }, 'invalid_answer'],
    ['was limited', { isError: true, structured: { error: { code: 429 } } }, 'rate_limited'],
    ['was sent nonsense', { isError: true, structured: { error: { code: 400 } } }, 'bad_request'],
    [
      'was sent too much',
      { isError: true, text: 'above the maximum context length' },
      'context_length_exceeded',
    ],
    ['was not let', { isError: true, structured: { error: { type: 'content_filter' } } }, 'content_filter'],
  ] as const;
  for (const [what, result, kind] of failures) {
    it(`is none where the tool ${what}`, async () => {
      await assert.rejects(collect(scripted(result).provider, promptOf('Hello')), isFailure(kind));
    });
  }

  it('that failed says why, without secrets, and what it has used', async () => {
    const { provider } = scripted({
      isError: true,
      text: 'wrong key hunter22',
      structured: { usage: { prompt_tokens: 5 } },
    });
    await assert.rejects(collect(provider, promptOf('Hello')), {
      providerMessage: 'wrong key ***',
      usage: { ...counted(0, 0), input_tokens: 5, output_tokens: 0, total_tokens: 5 },
    });
  });
});

describe('what a tool is asked', () => {
  const prompt: Prompt = {
    ...promptOf('And now?', 'My name is Ada.'),
    instructions: 'Be brief.',
    options: { temperature: 0, tools: [{ type: 'function', function: { name: 'f' } }] },
  };

  it('is the transcript and the options', async () => {
    const { provider, asked } = scripted({ text: 'Hi' });
    await collect(provider, prompt);
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'My name is Ada.' },
      { role: 'user', content: 'And now?' },
    ];
    assert.deepEqual(asked, [{ tool: 'model-1', args: { messages, options: prompt.options } }]);
  });

  it('is asked of the tool that the model names, or else the options', async () => {
    const { provider, asked } = scripted({ text: 'Hi' });
    const byModel = await collect(provider, { ...prompt, model: 'answer' });
    const byOption = await collect(provider, { ...prompt, options: { tool_name: 'other', top_p: 1 } });
    assert.deepEqual(
      asked.map(({ tool, args }) => [tool, args['options']]),
      [
        ['answer', prompt.options],
        ['other', { top_p: 1 }],
      ],
    );
    assert.deepEqual(
      [byModel.at(-1), byOption.at(-1)],
      [
        { ...finish, model: 'answer' },
        { ...finish, model: 'other' },
      ],
    );
  });

  it('is refused where there is no such tool: as a model, or as an error of the caller', async () => {
    const { provider, asked } = scripted({ text: 'Hi' });
    await assert.rejects(collect(provider, { ...prompt, model: 'nope' }), isFailure('model_not_found'));
    for (const toolName of ['nope', '', 42, null, ['chat']]) {
      const options = { tool_name: toolName };
      await assert.rejects(collect(provider, { ...prompt, options }), (error: unknown) => {
        assert.ok(isFailure('bad_request')(error));
        assert.match(String((error as { providerMessage?: unknown }).providerMessage), /tool/);
        return true;
      });
    }
    assert.deepEqual(asked, []);
  });
});
