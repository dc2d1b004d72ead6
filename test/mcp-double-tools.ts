/**
 * What a server under test offers, whatever it is reached by: tools that answer, fail, hang, die, flood and ask. Speaks
 * the protocol of 2026-07-28 and the ones before.
 */

import {
  type CallToolResult,
  type InputRequiredResult,
  inputRequired,
  ProtocolError,
  Server,
  type ServerContext,
  type Tool,
} from '@modelcontextprotocol/server';

/** What is the same for all connections of a server, and can be changed while it runs. */
export interface DoubleState {
  /** How often each tool was run. */
  readonly runs: Map<string, number>;
  /** Calls that were told to stop. */
  cancelled: number;
  /** Called with the name when a call of `hang` has begun, and when one was told to stop. */
  onEvent(event: 'hanging' | 'cancelled'): void;
  /** Told of the tool `echo`. */
  description: string;
  /** Offered beside the others. */
  extraTools: readonly Tool[];
  /** Offered and run beside the others. */
  extraRuns: Readonly<Record<string, Run>>;
  /** Tools in one page of the list. */
  pageSize: number;
  /** Lists that were asked for from their beginning. */
  lists: number;
  /** Ends the server's connections, or the server, in the middle of a call. */
  cut(): void;
}

export function createDoubleState(cut: () => void): DoubleState {
  return {
    runs: new Map(),
    cancelled: 0,
    onEvent: () => undefined,
    description: 'Says what it was told.',
    extraTools: [],
    extraRuns: {},
    pageSize: 3,
    lists: 0,
    cut,
  };
}

export type Run = (
  args: Record<string, unknown>,
  context: ServerContext,
  state: DoubleState,
) => Promise<CallToolResult | InputRequiredResult> | CallToolResult | InputRequiredResult;

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const said = (text: string): CallToolResult => ({ content: [{ type: 'text', text }] });

const tools: Record<string, Run> = {
  echo: ({ text }) => said(String(text)),
  fail: () => ({ ...said('there is no such file'), isError: true }),
  refuse: () => {
    throw new ProtocolError(-32_000, 'not today');
  },
  everything: () => ({
    content: [
      { type: 'text', text: 'first' },
      { type: 'image', mimeType: 'image/png', data: PIXEL },
      { type: 'audio', mimeType: 'audio/wav', data: 'AAAA' },
      { type: 'resource', resource: { uri: 'file:///a.txt', mimeType: 'text/plain', text: 'inside' } },
      { type: 'resource', resource: { uri: 'file:///a.bin', blob: 'AAAA' } },
      { type: 'resource_link', uri: 'https://example.com/b', name: 'b', description: 'a page' },
    ],
    structuredContent: { answer: 42 },
  }),
  structured: () => ({ content: [], structuredContent: { answer: 42 } }),
  hang: async (_args, { mcpReq }, state) => {
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      const params = { progressToken, progress: 1, total: 2, message: 'half' };
      await mcpReq.notify({ method: 'notifications/progress', params });
    }
    state.onEvent('hanging');
    await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve, { once: true }));
    state.cancelled += 1;
    state.onEvent('cancelled');
    return said('too late');
  },
  die: (_args, _context, state) => {
    state.cut();
    return new Promise(() => undefined);
  },
  flood: async ({ count }, { mcpReq }) => {
    for (let sent = 0; sent < Number(count); sent += 1) await mcpReq.log('info', `line ${sent}`);
    return said('done');
  },
  huge: ({ bytes }) => said('x'.repeat(Number(bytes))),
  sample: (_args, { mcpReq }) => ask(mcpReq, 'sampling', SAMPLING),
  elicit: (_args, { mcpReq }) => ask(mcpReq, 'elicitation', ELICITATION),
  roots: (_args, { mcpReq }) => ask(mcpReq, 'roots', { method: 'roots/list' }),
  environment: () => said(JSON.stringify(process.env)),
  pid: () => said(String(process.pid)),
};

const SAMPLING = {
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: 'hello?' } }], maxTokens: 10 },
} as const;

const ELICITATION = {
  method: 'elicitation/create',
  params: {
    message: 'how old?',
    requestedSchema: { type: 'object', properties: { age: { type: 'integer', default: 7 } } },
  },
} as const;

/** Asks the client, by whichever way the protocol has, and says what it answered. */
async function ask(
  mcpReq: ServerContext['mcpReq'],
  key: string,
  request: typeof SAMPLING | typeof ELICITATION | { method: 'roots/list' },
): Promise<CallToolResult | InputRequiredResult> {
  const answer = mcpReq.inputResponses?.[key];
  if (answer !== undefined) return said(JSON.stringify(answer));
  if (mcpReq.envelope !== undefined) return inputRequired({ inputRequests: { [key]: request as never } });
  return said(JSON.stringify(await mcpReq.send(request as never)));
}

/** A server for one connection, or for one request where each stands for itself. */
export function createDoubleServer(state: DoubleState): Server {
  const server = new Server(
    { name: 'double', version: '1.2.3' },
    { capabilities: { tools: { listChanged: true }, logging: {} }, instructions: 'Be kind to the double.' },
  );
  server.setRequestHandler('tools/list', (request) => {
    const begin = Number(request.params?.cursor ?? 0);
    if (begin === 0) state.lists += 1;
    const names = [...Object.keys(tools), ...Object.keys(state.extraRuns)];
    const all = [...names.map((name) => listed(name, state)), ...state.extraTools];
    const end = begin + state.pageSize;
    const page = { tools: all.slice(begin, end) };
    return end < all.length ? { ...page, nextCursor: String(end) } : page;
  });
  server.setRequestHandler('tools/call', ({ params }, context) => {
    const runs = { ...tools, ...state.extraRuns };
    const run = Object.hasOwn(runs, params.name) ? runs[params.name] : undefined;
    if (run === undefined) throw new ProtocolError(-32_602, `there is no tool ${params.name}`);
    state.runs.set(params.name, (state.runs.get(params.name) ?? 0) + 1);
    return run(params.arguments ?? {}, context, state);
  });
  return server;
}

function listed(name: string, state: DoubleState): Tool {
  const description = name === 'echo' ? state.description : `Is there to ${name}.`;
  const properties = name === 'echo' ? { text: { type: 'string' } } : {};
  return { name, description, inputSchema: { type: 'object', properties } };
}
