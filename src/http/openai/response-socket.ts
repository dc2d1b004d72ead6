/**
 * Responses over a WebSocket, as the Open Responses specification of 2026-04-24 has it: one connection, on the path of
 * responses, over which a client asks for one after another and reads the events of each. Every `response.create` is a
 * request like any other, sent to the same route in this process: what holds there for keys, limits and bodies holds here.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import { AppError } from '../../errors.ts';
import { onAbort } from '../disconnect.ts';
import type { App } from '../rooms.ts';
import { openAIError } from './openai-error.ts';

export interface ResponseSocketOptions {
  /** Of the web pages that may connect; `*` for all. Whoever is no page names none. */
  origins: readonly string[];
  /** Of one message. */
  maxBytes: number;
  /** After which a connection is ended; an hour, as the specification has it, where left out. */
  lifetimeMilliseconds?: number;
  /** How often it is looked whether the other side is there. */
  heartbeatMilliseconds?: number;
}

/** Aborts when the client of a request that is made here has left: there is no connection that would say so. */
const leaving = new AsyncLocalStorage<AbortSignal>();

const PATH = '/v1/responses';

/** A request that anybody with a key may make, and that does nothing: whether the key is one. */
const KNOCK = '/v1/responses?limit=1';

const HOUR_MILLISECONDS = 3_600_000;
const HEARTBEAT_MILLISECONDS = 30_000;

/** Codes of RFC 6455. */
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/** What of a connection's head is about the connection, and not about who asks. */
const OF_THE_CONNECTION = /^(?:connection|upgrade|host|content-.*|transfer-encoding|sec-websocket-.*)$/;

/** Whether the request asks for such a connection. Whatever else asks for another protocol is answered in this one. */
export function asksForSocket({ url, headers }: IncomingMessage): boolean {
  return url?.split('?', 1)[0] === PATH && headers.upgrade?.toLowerCase() === 'websocket';
}

export function addResponseSocket(app: App, options: ResponseSocketOptions): void {
  const { origins, maxBytes, lifetimeMilliseconds = HOUR_MILLISECONDS } = options;
  const open = new Set<WebSocket>();
  let sockets: WebSocketServer | null = null;
  app.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    void upgrade(request, socket, head).catch(() => socket.destroy());
  });
  app.addHook('onRequest', (_request, reply, done) => {
    const left = leaving.getStore();
    if (left !== undefined) onAbort(left, () => reply.raw.destroy());
    done();
  });
  app.addHook('preClose', (done) => {
    for (const socket of open) socket.close(GOING_AWAY);
    done();
  });

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { origin } = request.headers;
    // A page of elsewhere could otherwise use a server that is open to whoever reaches it.
    if (origin !== undefined && !origins.includes('*') && !origins.includes(origin)) {
      return refuse(socket, 403, 'Forbidden');
    }
    const knock = await app.inject({ ...senderOf(request), method: 'GET', url: KNOCK });
    if (knock.statusCode !== 200) return refuse(socket, knock.statusCode, knock.statusMessage, knock.body);
    sockets ??= new (await import('ws')).WebSocketServer({ noServer: true, maxPayload: maxBytes });
    sockets.handleUpgrade(request, socket, head, (webSocket) => serve(webSocket, request));
  }

  function serve(socket: WebSocket, request: IncomingMessage): void {
    const conversation = createConnection(app, request, (frame) => send(socket, frame));
    open.add(socket);
    const lifetime = setTimeout(() => {
      void send(socket, errorFrame(new AppError('connection_too_old'))).finally(() =>
        socket.close(TRY_AGAIN_LATER),
      );
    }, lifetimeMilliseconds).unref();
    const heartbeat = keepAlive(socket, options.heartbeatMilliseconds ?? HEARTBEAT_MILLISECONDS);
    // One buffer, as the driver gives them unless it is told otherwise.
    socket.on('message', (data, isBinary) => {
      void conversation.take(isBinary ? null : (data as Buffer).toString('utf8'));
    });
    socket.on('error', () => socket.terminate());
    socket.once('close', () => {
      open.delete(socket);
      clearTimeout(lifetime);
      clearInterval(heartbeat);
      conversation.leave();
    });
  }
}

/** Who asks, for a request that is made in their name. */
function senderOf({ headers, socket }: IncomingMessage): {
  headers: IncomingHttpHeaders;
  remoteAddress: string;
} {
  const asked = Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.test(name));
  return { headers: Object.fromEntries(asked), remoteAddress: socket.remoteAddress ?? '' };
}

function refuse(socket: Duplex, status: number, reason: string, body = ''): void {
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Ends a connection whose other side has not answered since the last time. */
function keepAlive(socket: WebSocket, milliseconds: number): NodeJS.Timeout {
  let isThere = true;
  socket.on('pong', () => {
    isThere = true;
  });
  return setInterval(() => {
    if (!isThere) return socket.terminate();
    isThere = false;
    socket.ping();
  }, milliseconds).unref();
}

/** Resolves when the frame is on its way: a client that reads slowly is waited for. */
function send(socket: WebSocket, frame: string): Promise<void> {
  return new Promise((resolve) => {
    socket.send(frame, () => resolve());
  });
}

/** A response that was not stored, of which only this connection knows. */
interface Remembered {
  id: string;
  /** Everything that was said up to its end. */
  items: readonly unknown[];
}

function createConnection(app: App, opened: IncomingMessage, tell: (frame: string) => Promise<void>) {
  const left = new AbortController();
  let isBusy = false;
  let last: Remembered | null = null;
  return { take, leave: () => left.abort() };

  async function take(text: string | null): Promise<void> {
    if (isBusy) return tell(errorFrame(new AppError('response_in_progress')));
    isBusy = true;
    try {
      const body = text === null ? null : bodyOf(text);
      await (body === null ? tell(errorFrame(new AppError('invalid_json'))) : create(body));
    } catch (error) {
      if (!left.signal.aborted)
        await tell(errorFrame(new AppError('internal_error', undefined, { cause: error })));
    } finally {
      isBusy = false;
    }
  }

  async function create({ type, ...body }: Body): Promise<void> {
    const unknown = type !== 'response.create' ? 'type' : nothingHere(body);
    if (unknown !== null) {
      const reason = `${unknown} is not for a WebSocket, over which response.create alone is sent`;
      return tell(errorFrame(new AppError('unsupported_parameter', { param: unknown, reason })));
    }
    const asked = fromMemory(body);
    const { headers, remoteAddress } = senderOf(opened);
    const request = {
      method: 'POST',
      url: PATH,
      headers: { ...headers, 'content-type': 'application/json' },
      remoteAddress,
      payload: JSON.stringify({ ...asked, stream: true }),
      payloadAsStream: true,
    } as const;
    const answer = await leaving.run(left.signal, () => app.inject(request));
    if (answer.statusCode !== 200) return tell(await refusedFrame(answer.statusCode, answer.stream()));
    await pass(answer.stream(), asked);
  }

  /** The body with what only this connection remembers in the place of its id. */
  function fromMemory(body: Body): Body {
    const { previous_response_id: previous, ...rest } = body;
    if (last === null || previous !== last.id) return body;
    return { ...rest, input: [...last.items, ...listOf(rest['input'])] };
  }

  async function pass(stream: Readable, asked: Body): Promise<void> {
    for await (const data of dataOf(stream)) {
      if (asked['store'] === false) remember(data, asked);
      await tell(data);
    }
  }

  function remember(data: string, asked: Body): void {
    if (!/^\{"type":"response\.(?:completed|incomplete)"/.test(data)) return;
    const { response } = JSON.parse(data) as { response: { id: string; output: readonly unknown[] } };
    last = { id: response.id, items: [...listOf(asked['input']), ...response.output] };
  }
}

type Body = Readonly<Record<string, unknown>>;

/** A field that cannot be meant over a connection on which every response is a stream; null if there is none. */
function nothingHere({ stream = true, background = false }: Body): string | null {
  if (stream !== true) return 'stream';
  return background === false || background === null ? null : 'background';
}

/** Null for what is no JSON object. */
function bodyOf(text: string): Body | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : null;
  } catch {
    return null;
  }
}

function listOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input;
  return input === undefined ? [] : [{ type: 'message', role: 'user', content: input }];
}

/** The data of the events of a stream, without its end. */
async function* dataOf(stream: Readable): AsyncGenerator<string> {
  let text = '';
  for await (const piece of stream.setEncoding('utf8') as AsyncIterable<string>) {
    text += piece;
    const frames = text.split('\n\n');
    text = frames.pop() ?? '';
    for (const frame of frames) {
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (data !== undefined && data !== '[DONE]') yield data;
    }
  }
}

async function refusedFrame(status: number, stream: Readable): Promise<string> {
  let text = '';
  for await (const piece of stream.setEncoding('utf8') as AsyncIterable<string>) text += piece;
  const { error } = JSON.parse(text) as { error: unknown };
  return JSON.stringify({ type: 'error', status, error });
}

function errorFrame(error: AppError): string {
  return JSON.stringify({ type: 'error', status: error.status, error: openAIError(error) });
}
