/**
 * A provider that is told what to answer: an HTTP server that plays an OpenAI-compatible one, in the process of
 * the test, for a server in the same process or another. It records what it was asked, and which answers were
 * aborted. Unless told otherwise it answers `You said: <last user text>`.
 */

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { type Script, scriptedBody, type Wait } from './provider-double-script.ts';

export { providerErrorMessage, type Script } from './provider-double-script.ts';

export interface ProviderDouble {
  /** The base URL to configure, with `/v1`. */
  readonly url: string;
  /** All requests so far, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** How many connections were ever made to it. */
  readonly connections: number;
  /** The last request so far; fails if there was none. */
  readonly last: RecordedRequest;
  /** What all following requests get, until it is set anew. */
  respond(answer: Answer): void;
  /** What the next requests get, one each, before `respond` counts again. */
  respondOnce(...answers: readonly Answer[]): void;
  /** Back to the echo, with nothing queued and nothing recorded. */
  reset(): void;
  /** Waits until this many requests have arrived in all, and gives the last of them. */
  arrived(count: number): Promise<RecordedRequest>;
  /** Ends the server and its connections. */
  close(): Promise<void>;
}

/** A script, or what chooses one for a request. */
export type Answer = Script | ((request: RecordedRequest) => Script);

export interface RecordedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: RequestBody;
  /** Whether the client broke off before the answer was whole. */
  aborted: boolean;
  /** When it did, in milliseconds since the epoch. */
  abortedAt: number | null;
  /** Resolves when the exchange is over, one way or the other. */
  readonly ended: Promise<void>;
}

/** What the double reads of a request, beside whatever else is in it. */
export interface RequestBody extends Record<string, unknown> {
  model: string;
  messages: readonly { role: string; content: unknown; [field: string]: unknown }[];
  stream?: boolean;
}

/** Starts a double on a free port of the loopback interface. */
export async function startProviderDouble(): Promise<ProviderDouble> {
  let requests: RecordedRequest[] = [];
  let usual: Answer = echo;
  let queue: Answer[] = [];
  let arrivals: (() => void)[] = [];
  let connections = 0;

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/v1`,
    get requests() {
      return requests;
    },
    get connections() {
      return connections;
    },
    get last() {
      const last = requests.at(-1);
      if (last === undefined) throw new Error('the double was not asked anything');
      return last;
    },
    respond(answer) {
      usual = answer;
    },
    respondOnce(...answers) {
      queue.push(...answers);
    },
    reset() {
      usual = echo;
      queue = [];
      requests = [];
    },
    async arrived(count) {
      for (;;) {
        const request = requests[count - 1];
        if (request !== undefined) return request;
        await new Promise<void>((resolve) => arrivals.push(resolve));
      }
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST' || !request.url?.includes('/chat/completions')) {
      response.writeHead(404).end();
      return;
    }
    const body = JSON.parse(await readText(request)) as RequestBody;
    const recorded = record(request, response, body);
    const answer = queue.shift() ?? usual;
    requests.push(recorded);
    for (const resolve of arrivals) resolve();
    arrivals = [];
    await play(typeof answer === 'function' ? answer(recorded) : answer, recorded, response);
  }
}

function echo({ body }: RecordedRequest): Script {
  const said = body.messages.findLast((message) => message.role === 'user')?.content;
  const text = typeof said === 'string' ? said : JSON.stringify(said ?? null);
  return { text: ['You said: ', ...text.split(/(?<=\s)/)] };
}

function record(request: IncomingMessage, response: ServerResponse, body: RequestBody): RecordedRequest {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const recorded: RecordedRequest = {
    path: request.url ?? '',
    headers: request.headers,
    body,
    aborted: false,
    abortedAt: null,
    ended,
  };
  response.on('close', () => {
    if (!response.writableFinished && response.errored === null) {
      recorded.aborted = true;
      recorded.abortedAt = Date.now();
    }
    resolve();
  });
  return recorded;
}

async function play(script: Script, request: RecordedRequest, response: ServerResponse): Promise<void> {
  await wait(script.waitBefore, request);
  if (script.cut === 'before headers') return cut(response);
  if (response.destroyed) return;
  const { model, stream = false } = request.body;
  const { contentType, pieces } = scriptedBody(script, { model, stream });
  response.writeHead(script.status ?? 200, { 'content-type': contentType, ...script.headers });
  response.flushHeaders();
  let bytesLeft = script.cut?.afterBytes ?? Infinity;
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await wait(script.waitBetween, request);
    if (index === script.waitAt?.piece) await wait(script.waitAt.wait, request);
    if (response.destroyed) return;
    const bytes = Buffer.from(piece as string);
    await write(response, bytes.subarray(0, bytesLeft));
    bytesLeft -= bytes.length;
    if (bytesLeft <= 0) return cut(response);
  }
  if (script.cut !== undefined) return cut(response);
  if (script.hang !== true) response.end();
}

/** Waits as told, but not longer than the client does. */
async function wait(what: Wait | undefined, request: RecordedRequest): Promise<void> {
  if (what === undefined) return;
  const over = typeof what === 'function' ? what() : what;
  await Promise.race([typeof over === 'number' ? delay(over) : over, request.ended]);
}

/** Resolves when the bytes are on their way, so that each piece is a packet of its own. */
async function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => response.write(bytes, () => resolve()));
}

function cut(response: ServerResponse): void {
  response.destroy(new Error('cut as the script says'));
}
