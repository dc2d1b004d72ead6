/**
 * The time after a failed sync of the log, in which nothing is accepted. The kernel may have dropped the pages that
 * it failed to write, so a later sync could succeed and still not cover them: the disk has to be recovered first
 * (log.ts knows how), which is tried again and again.
 */

import { AppError } from '../../errors.ts';
import type { Database } from './database.ts';

/** Puts what was committed on disk, without blocking, and calls back. */
export type Sync = (done: (error: Error | null) => void) => void;

/** What came of trying to have on disk what a failed sync has not put there; `lost` is for good. */
export type Recovery = 'recovered' | 'not_yet' | 'lost';

/** Where commits become durable. */
export interface Disk {
  readonly sync: Sync;
  /** Tries to put everything that was committed on disk after a sync has failed. Never rejects. */
  recover(): Promise<Recovery>;
}

export function createOutage(database: Database, disk: Disk | null, pauseMilliseconds: number) {
  /** Why nothing is accepted at the moment; null if all is well. */
  let reason: AppError | null = null;
  /** What callers were told has failed, though it was committed. Oldest first. */
  let undo: readonly (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> = Promise.resolve();
  let closed = false;

  return { reason: () => reason, begin, close };

  /** Begins the outage and returns its error. `undone` runs in a transaction before anything is accepted again. */
  function begin(cause: Error, undone: readonly (() => void)[]): AppError {
    reason = new AppError('store_unavailable', undefined, { cause });
    undo = undone;
    schedule();
    return reason;
  }

  function schedule(): void {
    if (closed) return;
    timer = setTimeout(() => {
      underWay = recover();
    }, pauseMilliseconds).unref();
  }

  async function recover(): Promise<void> {
    const recovery = await disk?.recover();
    if (recovery === 'lost') return;
    if (recovery === 'not_yet' || !undone()) return schedule();
    reason = null;
  }

  /**
   * Whether what had to be undone is. The next sync makes it durable; if the machine dies before, it was running
   * when that happened, which is what the next start looks for.
   */
  function undone(): boolean {
    try {
      if (undo.length > 0) database.transaction(() => undo.toReversed().forEach((one) => one()));
      undo = [];
      return true;
    } catch {
      // A lock or a full disk: whoever wants to write will be told, until the next try.
      return false;
    }
  }

  /** Waits for a try under way; there is no other. */
  async function close(): Promise<void> {
    closed = true;
    clearTimeout(timer);
    await underWay;
  }
}
