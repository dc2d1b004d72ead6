/**
 * The sweep: what nobody can want any more is removed from the store, a small batch at a time, so that the turns of
 * a busy server go on between the batches. What counts as such is the store's contract.
 */

import { setImmediate as nextRound } from 'node:timers/promises';
import type { Store } from '../stores/store.ts';

export interface SweeperOptions {
  store: Pick<Store, 'sweep'>;
  /** How long a session is kept that nobody changes; null keeps it until it is deleted or expires. */
  retentionMilliseconds: number | null;
  /** Told of the sessions that a sweep has removed, where there were any. */
  onSwept(sessions: number): void;
  /** Told once when sweeping fails, and again only after it has worked in between. */
  onFailure(error: unknown): void;
}

export interface Sweeper {
  /** Sweeps no more. Resolves when the batch under way is over. */
  close(): Promise<void>;
}

/** A server that was off may have much to remove; it is to answer its first requests before. */
const FIRST_MILLISECONDS = 1000;
/** How late something may be removed. Requests do not see what has expired, so only the space is kept for so long. */
const PAUSE_MILLISECONDS = 10_000;

/** Sweeps soon, and from then on ten seconds after each sweep. Does not keep the process alive. */
export function createSweeper({ store, retentionMilliseconds, onSwept, onFailure }: SweeperOptions): Sweeper {
  let closed = false;
  let failing = false;
  let underWay: Promise<void> = Promise.resolve();
  let timer = schedule(FIRST_MILLISECONDS);
  return { close };

  function schedule(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => {
      underWay = run();
    }, milliseconds).unref();
  }

  async function run(): Promise<void> {
    try {
      await sweep();
      failing = false;
    } catch (error) {
      if (!failing) onFailure(error);
      failing = true;
    }
    if (!closed) timer = schedule(PAUSE_MILLISECONDS);
  }

  async function sweep(): Promise<void> {
    let removed = 0;
    try {
      for (;;) {
        const now = Date.now();
        const idleBefore = retentionMilliseconds === null ? null : now - retentionMilliseconds;
        const { sessions, more } = await store.sweep(now, idleBefore);
        removed += sessions;
        if (!more || closed) return;
        await nextRound();
        if (closed) return;
      }
    } finally {
      if (removed > 0) onSwept(removed);
    }
  }

  async function close(): Promise<void> {
    closed = true;
    clearTimeout(timer);
    await underWay;
  }
}
