/** Tools that the test runs itself, and what a scripted model says to call them. */

import type { McpCallItem } from '../src/conversation/item.ts';
import type { Turn } from '../src/conversation/turn.ts';
import type { CallOptions, ToolResult } from '../src/tools/tool-source.ts';
import type { Toolbox, Toolboxes } from '../src/tools/toolbox.ts';
import type { Step } from './scripted-provider.ts';

export type Run = (args: Readonly<Record<string, unknown>>, options: CallOptions) => Promise<ToolResult>;

export const text = (said: string): ToolResult => ({
  text: said,
  isError: false,
  content: [{ type: 'text', text: said }],
});

/** Tools by the names under which models call them: `server__tool`. Those that are called `ask…` need an approval. */
export function toolboxOf(tools: Record<string, Run>): Pick<Toolboxes, 'open'> & { opened: unknown[] } {
  const toolbox: Toolbox = {
    functions: Object.keys(tools).map((name) => ({
      type: 'function',
      function: { name, description: `Does ${name}`, parameters: { type: 'object' } },
    })),
    find(functionName) {
      const call = tools[functionName];
      const [server = '', name = ''] = functionName.split('__');
      return call && { server, name, call, needsApproval: name.startsWith('ask') };
    },
    instructions: null,
  };
  const opened: unknown[] = [];
  return {
    opened,
    async open(choice) {
      opened.push(choice);
      return toolbox;
    },
  };
}

/** Calls of these tools, all at once. */
export function calls(...names: string[]): Step[] {
  return [
    ...names.map((name): Step => ({ type: 'tool-call', callId: `c_${name}`, name, arguments: '{"a":1}' })),
    { type: 'finish', reason: 'tool_calls', usage: USAGE, model: 'm' },
  ];
}

const USAGE = {
  input_tokens: 10,
  input_tokens_details: { cached_tokens: 1 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 15,
};
/** The end of an answer. */
export const done: Step = { type: 'finish', reason: 'stop', usage: USAGE, model: 'm' };

export function ownCalls({ output }: Turn): McpCallItem[] {
  return output.filter((item) => item.type === 'mcp_call');
}
