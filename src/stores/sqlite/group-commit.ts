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

import { AppError } from '../../errors.ts';
import { asStoreError, type Database, isLocked } from './database.ts';
import { createOutage, type Disk } from './outage.ts';

export interface Pauses {
  /** How long an operation waits for another connection's lock. */
  readonly lockMilliseconds: number;
  /** Between two tries to recover from a failed sync. */
  readonly recoveryMilliseconds: number;
}

/** A tool that reads or copies the database is done within seconds; a disk that failed needs somebody. */
const PAUSES: Pauses = { lockMilliseconds: 2000, recoveryMilliseconds: 1000 };
/** Between two tries to get past a lock: nobody tells when it is free. */
const LOCK_RETRY_MILLISECONDS = 10;

export interface GroupCommit {
  /**
   * Runs the operation in a transaction. It may run twice, and must have no effect but on the database.
   * `undo` is for an operation that was committed and could not be put on disk, so that its caller was told of a
   * failure: it runs, in a transaction, before anything is accepted again.
   */
  write<Result>(operation: () => Result, undo?: (result: Result) => void): Promise<Result>;
  /** Runs the operation at once; what it shows is on disk when the promise resolves. */
  read<Result>(operation: () => Result): Promise<Result>;
  /** Refuses new writes and waits for those under way. */
  close(): Promise<void>;
}

interface Answer {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly undo?: (() => void) | undefined;
}

interface Waiting {
  /** Executes the operation. */
  readonly run: () => Answer;
  readonly reject: (error: unknown) => void;
  /** Until when it waits for another connection's lock; null while it has met none. */
  deadline: number | null;
}

/** `disk` is null for a database that has none. */
export function createGroupCommit(
  database: Database,
  disk: Disk | null,
  pauses: Pauses = PAUSES,
): GroupCommit {
  let waiting: Waiting[] = [];
  /** Those to answer after the sync under way; null if there is none. */
  let syncing: Answer[] | null = null;
  let scheduled = false;
  /** Whether the last try met another connection's lock. */
  let locked = false;
  let closed: AppError | null = null;
  let whenIdle: (() => void) | null = null;
  const outage = createOutage(database, disk, pauses.recoveryMilliseconds);

  return { write, read, close };

  function write<Result>(operation: () => Result, undo?: (result: Result) => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      const refusal = closed ?? outage.reason();
      if (refusal !== null) return reject(refusal);
      const run = () => {
        const result = operation();
        return { resolve: () => resolve(result), reject, undo: undo && (() => undo(result)) };
      };
      waiting.push({ run, reject, deadline: null });
      schedule();
    });
  }

  function read<Result>(operation: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => attempt(operation, null, resolve, reject));
  }

  function attempt<Result>(
    operation: () => Result,
    deadline: number | null,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ): void {
    const refusal = closed ?? outage.reason();
    if (refusal !== null) return reject(refusal);
    try {
      const result = operation();
      if (syncing === null) resolve(result);
      else syncing.push({ resolve: () => resolve(result), reject });
    } catch (error) {
      const until = lockDeadline(error, deadline);
      if (until === null) return reject(asStoreError(error));
      setTimeout(() => attempt(operation, until, resolve, reject), LOCK_RETRY_MILLISECONDS);
    }
  }

  async function close(): Promise<void> {
    closed ??= new AppError('store_unavailable', undefined, { cause: new Error('The store is closed.') });
    if (scheduled || syncing !== null) await new Promise<void>((resolve) => (whenIdle = resolve));
    await outage.close();
  }

  /** `setImmediate` lets every request that the event loop has at hand join the transaction. */
  function schedule(): void {
    if (scheduled || syncing !== null) return;
    scheduled = true;
    if (locked) setTimeout(commitWaiting, LOCK_RETRY_MILLISECONDS);
    else setImmediate(commitWaiting);
  }

  function commitWaiting(): void {
    const batch = waiting;
    waiting = [];
    scheduled = false;
    locked = false;
    const answers = execute(batch);
    if (disk === null || answers.length === 0) return settle(answers, null);
    syncing = answers;
    disk.sync((error) => {
      syncing = null;
      settle(answers, error);
    });
  }

  function settle(answers: readonly Answer[], syncError: Error | null): void {
    if (syncError === null) {
      for (const answer of answers) answer.resolve();
    } else {
      const undo = answers.flatMap((answer) => answer.undo ?? []);
      const failure = outage.begin(syncError, undo);
      for (const answer of [...answers, ...waiting]) answer.reject(failure);
      waiting = [];
    }
    if (waiting.length > 0) schedule();
    else whenIdle?.();
  }

  /**
   * Runs the batch in one transaction. If an operation throws, each runs again in a transaction of its own,
   * so that only the guilty one fails; but an engine that cannot work would fail for each again.
   */
  function execute(batch: readonly Waiting[]): Answer[] {
    try {
      return database.transaction(() => batch.map((one) => one.run()));
    } catch (error) {
      const failure = asStoreError(error);
      if (batch.length > 1 && !(failure instanceof AppError)) return batch.flatMap((one) => execute([one]));
      for (const one of batch) {
        one.deadline = lockDeadline(error, one.deadline);
        if (one.deadline === null) one.reject(failure);
        else waiting.push(one);
      }
      locked = waiting.length > 0;
      return [];
    }
  }

  /** Until when to try again after this error; null if that is over, or the error is not a lock. */
  function lockDeadline(error: unknown, before: number | null): number | null {
    if (!isLocked(error)) return null;
    const now = performance.now();
    const deadline = before ?? now + pauses.lockMilliseconds;
    return now < deadline ? deadline : null;
  }
}
