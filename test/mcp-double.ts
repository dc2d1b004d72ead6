/**
 * The double behind a URL: with the protocol of today, which keeps nothing between requests, or with sessions as before.
 * Can answer instead of the server, with whatever a test wants, and knows what it was asked.
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createMcpHandler, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { createDoubleServer, createDoubleState, type DoubleState } from './mcp-double-tools.ts';

export interface McpDouble {
  readonly url: string;
  readonly state: DoubleState;
  /** The requests so far: method and path, the method of the protocol, and the headers. */
  readonly requests: DoubleRequest[];
  /** Answers in the server's place, and says whether it has. */
  intercept: (request: DoubleRequest, response: ServerResponse) => boolean | Promise<boolean>;
  /** Tells everybody who listens that the tools have changed. */
  toolsChanged(): void;
  /** Forgets all sessions; requests of theirs are answered with this status. */
  forgetSessions(status: number): void;
  /** Ends all connections that there are, in the middle of whatever they carry. */
  cut(): void;
  close(): Promise<void>;
}

export interface DoubleRequest {
  readonly line: string;
  readonly method: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** The double on a free port, or on this one. */
export async function startMcpDouble(kind: 'stateless' | 'sessions', port = 0): Promise<McpDouble> {
  const sockets = new Set<Socket>();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const state = createDoubleState(cut);
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  let forgottenStatus = 404;
  const handler = createMcpHandler(() => createDoubleServer(state), { keepAliveMs: 0 });
  const requests: DoubleRequest[] = [];

  const server = createServer((incoming, response) => {
    void answer(incoming, response).catch(() => response.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  const double: McpDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    state,
    requests,
    intercept: () => false,
    toolsChanged() {
      handler.notify.toolsChanged();
      for (const transport of sessions.values()) {
        void transport.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      }
    },
    forgetSessions(status) {
      forgottenStatus = status;
      sessions.clear();
    },
    cut,
    async close() {
      cut();
      server.close();
      await handler.close();
    },
  };
  return double;

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = (await buffer(incoming)).toString('utf8');
    const { url, method, headers } = incoming;
    const request = { line: `${method} ${url}`, method: protocolMethod(body), headers, body };
    requests.push(request);
    if (await double.intercept(request, response)) return;
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    const asked = new Request(new URL(url ?? '/', double.url), {
      method: method ?? 'GET',
      headers: Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]),
      signal: closed.signal,
      ...(body === '' ? {} : { body }),
    });
    const answered = kind === 'stateless' ? await handler.fetch(asked) : await inSession(asked);
    response.writeHead(answered.status, Object.fromEntries(answered.headers));
    if (answered.body === null) return void response.end();
    response.flushHeaders();
    Readable.fromWeb(answered.body as never)
      .on('error', () => response.destroy())
      .pipe(response);
  }

  async function inSession(request: Request): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    const known = id === null ? undefined : sessions.get(id);
    if (known !== undefined) return known.handleRequest(request);
    if (id !== null) return Response.json({ error: 'no such session' }, { status: forgottenStatus });
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (session) => void sessions.set(session, transport),
      onsessionclosed: (session) => void sessions.delete(session),
    });
    await createDoubleServer(state).connect(transport);
    return transport.handleRequest(request);
  }
}

function protocolMethod(body: string): string | undefined {
  try {
    return (JSON.parse(body) as { method?: string }).method;
  } catch {
    return undefined;
  }
}
