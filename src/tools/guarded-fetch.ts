/**
 * `fetch` for requests to configured servers: to allowed addresses alone, with connections of its own, and with answers
 * whose messages have a bound. Timeouts are the callers': a tool may be silent for as long as its call may take.
 */

import { Agent, Response as UndiciResponse, fetch as undiciFetch } from 'undici';
import { guardedConnector } from './url-guard.ts';

/** `fetch` as far as the driver uses it. */
export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export interface GuardedFetch {
  readonly fetch: Fetch;
  /** Ends all connections; running requests fail. */
  close(): Promise<void>;
}

export class AnswerTooLargeError extends Error {
  override readonly name = 'AnswerTooLargeError';

  constructor(maxBytes: number) {
    super(`a message has more than ${maxBytes} bytes`);
  }
}

export interface GuardedFetchOptions {
  readonly connectTimeoutMs: number;
  readonly messageMaxBytes: number;
  /** Called when a message is longer; its stream fails. */
  onTooLarge?(): void;
}

export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  const agent = new Agent({
    connect: guardedConnector(options.connectTimeoutMs),
    // A call that was sent on a connection that the server had given up may have run for all that one knows.
    keepAliveTimeout: 1000,
    keepAliveMaxTimeout: 1000,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return { fetch: guarded, close: () => agent.destroy() };

  async function guarded(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const response = await undiciFetch(url, { ...init, dispatcher: agent });
    const { body, status, statusText, headers } = response;
    if (body === null) return response;
    const counted = body.pipeThrough(bounded(isEventStream(headers.get('content-type')), options));
    return new UndiciResponse(counted, { status, statusText, headers });
  }
}

function isEventStream(contentType: string | null): boolean {
  return contentType !== null && /^text\/event-stream\b/i.test(contentType);
}

/** Fails when a message, which is the whole body or an event of a stream, has more bytes than it may. */
function bounded(isStream: boolean, { messageMaxBytes, onTooLarge }: GuardedFetchOptions) {
  let bytes = 0;
  let before = Buffer.alloc(0);
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      // Line ends may be in different chunks.
      const seen = Buffer.concat([before, chunk]);
      const end = isStream ? eventEnd(seen) : -1;
      bytes = end < 0 ? bytes + chunk.length : Math.min(chunk.length, seen.length - end);
      before = seen.subarray(-3);
      if (bytes <= messageMaxBytes) return controller.enqueue(chunk);
      onTooLarge?.();
      controller.error(new AnswerTooLargeError(messageMaxBytes));
    },
  });
}

/** Where the last empty line ends, which ends an event, whatever the line ends are; -1 if there is none. */
function eventEnd(text: Buffer): number {
  const ends = ['\n\n', '\r\r', '\r\n\r\n'].map((blank) => {
    const at = text.lastIndexOf(blank);
    return at < 0 ? -1 : at + blank.length;
  });
  return Math.max(...ends);
}
