/**
 * The list of a server's tools as it was last read: kept, read again when it has changed or is old, and never waited for
 * once there is one. How it is read is the source's business.
 */

import { abortable } from './reconnecting.ts';
import type { Tool } from './tool-source.ts';

export interface ToolList {
  /** The tools; waits for the first reading alone, and rejects with what that rejected with. */
  get(signal?: AbortSignal): Promise<readonly Tool[]>;
  /** Says that the list is no longer what it was: it is read again in the background, if it ever was read. */
  changed(): void;
  close(): void;
}

export interface ReadTools {
  readonly tools: readonly Tool[];
  /** Milliseconds for which the list holds if nothing is heard; infinite if changes are told. */
  readonly holdsMs: number;
}

export interface ToolListOptions {
  read(): Promise<ReadTools>;
  /** The least time between two readings in the background. */
  readonly pauseMs: number;
  readonly now?: () => number;
}

export function createToolList({ read, pauseMs, now = () => performance.now() }: ToolListOptions): ToolList {
  let known: readonly Tool[] | null = null;
  let holdsUntil = Number.NEGATIVE_INFINITY;
  let reading: Promise<readonly Tool[]> | null = null;
  let readAt = Number.NEGATIVE_INFINITY;
  /** Whether something has changed that no reading has begun after. */
  let stale = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  return {
    async get(signal) {
      signal?.throwIfAborted();
      if (known === null) return abortable(reading ?? readNow(), signal);
      if (now() >= holdsUntil) readSoon();
      return known;
    },
    changed() {
      stale = true;
      if (known !== null) readSoon();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };

  function readNow(): Promise<readonly Tool[]> {
    stale = false;
    readAt = now();
    reading = read()
      .then(({ tools, holdsMs }) => {
        known = tools;
        holdsUntil = now() + holdsMs;
        return tools;
      })
      .finally(() => {
        reading = null;
        if (stale && known !== null) readSoon();
      });
    return reading;
  }

  /** A server that says so all the time is not asked all the time. */
  function readSoon(): void {
    if (closed || reading !== null || timer !== undefined) return;
    const wait = Math.max(0, readAt + pauseMs - now());
    timer = setTimeout(() => {
      timer = undefined;
      // What is known stays; it is read again the next time that somebody asks.
      if (!closed && reading === null) readNow().catch(() => undefined);
    }, wait);
    timer.unref();
  }
}
