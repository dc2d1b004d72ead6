/**
 * Durable writes that share their cost. Writes that arrive while the event loop makes one round, or while the
 * disk is syncing, run in ONE transaction, are synced ONCE, on another thread, and only then are they
 * answered.
 *
 * Why this is as durable as `synchronous = FULL`: with NORMAL a commit writes its frames to the write-ahead
 * log and does not sync; FULL differs only by an fsync of the log after each commit. The log is appended to,
 * so one sync covers every frame before it, and after a power loss SQLite recovers the longest prefix of
 * whole transactions. We sync before we answer; so whoever has an answer finds its write again. Nothing is
 * executed during a sync, so no sync has to be told which commits it covers.
 */

import { AppError } from '../errors.ts';
import { asStoreError, type Database } from './sqlite-database.ts';

/** Puts what was committed on disk, without blocking, and calls back. */
export type Sync = (done: (error: Error | null) => void) => void;

export interface GroupCommit {
  /** Runs the operation in a transaction. It may run twice, and must have no effect but on the database. */
  write<Result>(operation: () => Result): Promise<Result>;
  /** Runs the operation at once; what it shows is on disk when the promise resolves. */
  read<Result>(operation: () => Result): Promise<Result>;
  /** Refuses new writes and waits for those under way. */
  close(): Promise<void>;
}

interface Answer {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** `run` executes the operation and returns how to resolve its promise. */
interface Waiting {
  readonly run: () => () => void;
  readonly reject: (error: unknown) => void;
}

/** `sync` is null for a database that has no disk. */
export function createGroupCommit(database: Database, sync: Sync | null): GroupCommit {
  let waiting: Waiting[] = [];
  /** Those to answer after the sync under way; null if there is none. */
  let syncing: Answer[] | null = null;
  let scheduled = false;
  /** Set for good: why nothing is accepted any more. */
  let refusal: AppError | null = null;
  let whenIdle: (() => void) | null = null;

  return { write, read, close };

  function write<Result>(operation: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (refusal !== null) return reject(refusal);
      waiting.push({
        run() {
          const result = operation();
          return () => resolve(result);
        },
        reject,
      });
      schedule();
    });
  }

  function read<Result>(operation: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (refusal !== null) return reject(refusal);
      try {
        const result = operation();
        if (syncing === null) resolve(result);
        else syncing.push({ resolve: () => resolve(result), reject });
      } catch (error) {
        reject(asStoreError(error));
      }
    });
  }

  async function close(): Promise<void> {
    refusal ??= new AppError('store_unavailable', undefined, { cause: new Error('The store is closed.') });
    if (scheduled || syncing !== null) await new Promise<void>((resolve) => (whenIdle = resolve));
  }

  /** `setImmediate` lets every request that the event loop has at hand join the transaction. */
  function schedule(): void {
    if (scheduled || syncing !== null) return;
    scheduled = true;
    setImmediate(commitWaiting);
  }

  function commitWaiting(): void {
    const batch = waiting;
    waiting = [];
    scheduled = false;
    const answers = execute(batch);
    if (sync === null || answers.length === 0) return settle(answers, null);
    syncing = answers;
    sync((error) => {
      syncing = null;
      settle(answers, error);
    });
  }

  function settle(answers: readonly Answer[], syncError: Error | null): void {
    if (syncError === null) {
      for (const answer of answers) answer.resolve();
    } else {
      // The kernel forgets the pages that it failed to write: a later sync could succeed and still not cover
      // them, so nothing can be acknowledged until the file has been opened, and recovered, anew.
      const failure = new AppError('store_unavailable', undefined, { cause: syncError });
      refusal = failure;
      for (const answer of [...answers, ...waiting]) answer.reject(failure);
      waiting = [];
    }
    if (waiting.length > 0) schedule();
    else whenIdle?.();
  }

  /**
   * Runs the batch in one transaction. If an operation throws, each runs again in a transaction of its own,
   * so that only the guilty one fails; but an engine that cannot work would fail, or wait, for each again.
   */
  function execute(batch: readonly Waiting[]): Answer[] {
    try {
      return database.transaction(() => batch.map((one) => ({ resolve: one.run(), reject: one.reject })));
    } catch (error) {
      const failure = asStoreError(error);
      if (batch.length > 1 && !(failure instanceof AppError)) return batch.flatMap((one) => execute([one]));
      for (const one of batch) one.reject(failure);
      return [];
    }
  }
}
