/**
 * Tools of a double that answer turns: `chat`, `model-1` and `answer` say what they were told in the words of Chat
 * Completions, and call the function of `options.tools` with whose name the last message begins.
 */

import type { CallToolResult } from '@modelcontextprotocol/server';

interface Transcript {
  messages?: { role: string; content: string | null }[];
  options?: { tools?: { function: { name: string } }[] };
}

export const chatTools = { chat, 'model-1': chat, answer: chat };

function chat({ messages = [], options = {} }: Transcript): CallToolResult {
  const said = messages.at(-1)?.content ?? '';
  const called = options.tools?.find(({ function: { name } }) => said.startsWith(`${name} `))?.function.name;
  const content = called === undefined ? `You said: ${said}` : null;
  const made = called === undefined ? {} : { tool_calls: [callOf(called, said)] };
  const usage = { prompt_tokens: JSON.stringify(messages).length, completion_tokens: said.length };
  return {
    content: [{ type: 'text', text: 'There is data.' }],
    structuredContent: { message: { role: 'assistant', content, ...made }, usage },
  };
}

function callOf(name: string, said: string) {
  return { id: 'call_1', type: 'function', function: { name, arguments: said.slice(name.length + 1) } };
}
