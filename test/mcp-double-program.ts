/**
 * The double as a program, over standard input and output. Arguments make it misbehave: `touchy` ends when it is spoken to
 * before it was greeted, `noisy` prints what is no message, `garbage` answers calls with none, `silent` never answers,
 * `stubborn` does not end when its input does, `broken` ends at once. With `chat` it has tools that answer turns.
 */

import { createInterface } from 'node:readline';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { chatTools } from './mcp-double-chat.ts';
import { createDoubleServer, createDoubleState } from './mcp-double-tools.ts';

const [manner] = process.argv.slice(2);

if (manner === 'broken') {
  process.stderr.write('cannot find my configuration\n');
  process.exit(3);
}
if (manner === 'stubborn') {
  process.on('SIGTERM', () => process.stderr.write('not yet\n'));
  setInterval(() => undefined, 1000);
}
if (manner === 'silent') {
  setInterval(() => undefined, 1000);
} else if (manner === 'touchy') {
  let greeted = false;
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method } = JSON.parse(line) as { id?: number; method: string };
    if (method === 'initialize') greeted = true;
    else if (!greeted) process.exit(1);
    const answers: Record<string, unknown> = {
      initialize: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 'touchy', version: '1' },
      },
      'tools/list': { tools: [{ name: 'pid', inputSchema: { type: 'object' } }] },
      'tools/call': { content: [{ type: 'text', text: String(process.pid) }] },
    };
    const result = answers[method];
    if (id !== undefined) process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
  });
} else {
  if (manner === 'noisy') {
    process.stdout.write('listening on stdio\n\n');
    process.stderr.write('ready when you are\n');
  }
  if (manner === 'garbage') answerCallsWithGarbage();
  const state = createDoubleState(() => process.exit(1));
  if (manner === 'chat') state.extraRuns = chatTools;
  serveStdio(() => createDoubleServer(state));
}

function answerCallsWithGarbage(): void {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text: string, ...rest: never[]) => {
    const { result, ...envelope } = JSON.parse(text) as { result?: { content?: unknown } };
    const isCall = result?.content !== undefined;
    return write(isCall ? `${JSON.stringify({ ...envelope, result: { content: 'x' } })}\n` : text, ...rest);
  };
}
