/** One request whose connection may break at any byte: what arrived, and whether it was all. */

import { readEvents, type StreamEvent } from '../acceptance/client.ts';

export interface Exchange {
  /** Null if not even the head of an answer arrived. */
  status: number | null;
  headers: Headers;
  /** What arrived of the body. */
  text: string;
  /** Whether the answer ended as it should. */
  whole: boolean;
}

export interface Sending {
  method: 'GET' | 'POST';
  path: string;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
}

/** A guard against waiting for ever, far above what an answer takes on a busy machine. */
const PATIENCE_MILLISECONDS = 60_000;

/** Sends it. Rejects only if there was no answer for a minute. */
export async function exchange(url: string, { method, path, headers, body }: Sending): Promise<Exchange> {
  const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
  const arrived: Exchange = { status: null, headers: new Headers(), text: '', whole: false };
  try {
    const response = await fetch(url + path, {
      method,
      signal,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    arrived.status = response.status;
    arrived.headers = response.headers;
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) arrived.text += decoder.decode(bytes, { stream: true });
    arrived.whole = true;
  } catch (error) {
    if (signal.aborted) throw new Error(`${method} ${path} was not answered`, { cause: error });
  }
  return arrived;
}

/** The events that arrived whole. */
export function eventsIn(text: string): StreamEvent[] {
  return readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2));
}
