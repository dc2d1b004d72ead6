/**
 * Waiting for the turns of a session to be over, wherever they run. A server on which one ends says so to those on which
 * somebody waits; who cannot be told looks at the store after a while.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Exchange } from '../replicas/exchange.ts';

export interface SessionWatch {
  /**
   * Resolves when it is worth looking at the session again: when a turn of it is over, as far as that is told, and
   * otherwise after a while. Rejects, with any error, when the signal aborts.
   * @param looks how often was looked in vain already: a notice may have come before anybody waited for it, so the first
   * looks come soon
   * @param unheard milliseconds between looks where nobody tells anything
   */
  again(sessionId: string, looks: number, unheard: number, signal: AbortSignal): Promise<void>;
  /** A turn of the session is over here. */
  over(sessionId: string): void;
}

const SOON_MILLISECONDS = 50;
/** For a notice that is lost. */
const LATEST_MILLISECONDS = 1000;
/** For so long it is remembered that somebody waits elsewhere, who says so at every look. */
const REMEMBERED_MILLISECONDS = 3 * LATEST_MILLISECONDS;

export function createSessionWatch(exchange: Exchange): SessionWatch {
  /** Who waits here. */
  const waiting = new Map<string, Set<() => void>>();
  /** Until when somebody waits elsewhere, those first who said so longest ago. */
  const elsewhere = new Map<string, number>();
  exchange.listen((notice) => {
    if (notice.kind === 'over') wake(notice.sessionId);
    else if (notice.kind === 'waiting') remember(notice.sessionId);
  });
  return { again, over };

  async function again(
    sessionId: string,
    looks: number,
    unheard: number,
    signal: AbortSignal,
  ): Promise<void> {
    const woken = new AbortController();
    const wakers = waiting.get(sessionId) ?? new Set();
    const waker = () => woken.abort();
    waiting.set(sessionId, wakers.add(waker));
    exchange.tell({ kind: 'waiting', sessionId });
    const longest = exchange.isConnected()
      ? Math.min(SOON_MILLISECONDS * 2 ** looks, LATEST_MILLISECONDS)
      : unheard;
    const either = AbortSignal.any([signal, woken.signal]);
    try {
      await pause(longest, undefined, { ref: false, signal: either }).catch(() => undefined);
    } finally {
      wakers.delete(waker);
      if (wakers.size === 0) waiting.delete(sessionId);
    }
    signal.throwIfAborted();
  }

  function over(sessionId: string): void {
    wake(sessionId);
    if ((elsewhere.get(sessionId) ?? 0) > performance.now()) exchange.tell({ kind: 'over', sessionId });
  }

  function wake(sessionId: string): void {
    for (const waker of waiting.get(sessionId) ?? []) waker();
  }

  function remember(sessionId: string): void {
    const now = performance.now();
    for (const [one, until] of elsewhere) {
      if (until > now) break;
      elsewhere.delete(one);
    }
    elsewhere.delete(sessionId);
    elsewhere.set(sessionId, now + REMEMBERED_MILLISECONDS);
  }
}
