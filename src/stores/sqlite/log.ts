/**
 * The write-ahead log of a database file: syncing it off the event loop, and having it folded back into the
 * file by a worker when it has grown. It decides nothing about transactions.
 *
 * The database file itself is never opened here: closing any descriptor of it would drop the locks that
 * SQLite holds on it in this process. The log carries no locks, and keeps its inode until the last connection
 * closes.
 */

import { close, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { StoreLog } from '../store-log.ts';
import type { Database } from './database.ts';
import { rewriteLog } from './log-check.ts';
import type { Disk, Recovery } from './outage.ts';

export type CheckpointRequest = 'checkpoint' | 'close';
export interface CheckpointReport {
  error: unknown;
}

export interface WriteAheadLog extends Disk {
  /** Ends the worker and closes the log. The connection must still be open. */
  close(): Promise<void>;
}

export interface LogLimits {
  /** The log's growth, in pages, after which it is copied into the database file. */
  readonly checkpointFrames: number;
  /**
   * The log's length, in pages, from which on writers wait for the copy. SQLite begins the log anew once all
   * of it is copied; under constant load that never happens by itself, and the log would grow without end.
   */
  readonly longestFrames: number;
}

/** In pages of 4 KiB: copied every 4 MiB, which is rare enough, and quick enough; never much over 64 MiB. */
const LIMITS: LogLimits = { checkpointFrames: 1024, longestFrames: 16_384 };

/** Opens the log of the database at `path`, which must be in WAL mode and have begun a transaction. */
export function openWriteAheadLog(
  database: Database,
  path: string,
  log: Pick<StoreLog, 'error'> | undefined,
  limits: LogLimits = LIMITS,
): WriteAheadLog {
  const descriptor = openSync(`${path}-wal`, 'r+');
  // A killed server may have left commits that no sync has covered; from now on they are shown to readers.
  fdatasyncSync(descriptor);
  /** Only tells how far the log has grown; where SQLite does not know NOOP yet, it copies a little as well. */
  const measure = database.prepare<[busy: number, frames: number, copied: number]>(
    'PRAGMA wal_checkpoint(NOOP)',
  );
  let worker: Worker | null = null;
  let isCopying = false;
  let isClosing = false;
  /** Called when the checkpoint under way is over: the writers that wait for it. */
  let whenCopied: (() => void) | null = null;
  let lastFrames = 0;
  let nextCheckpoint = limits.checkpointFrames;

  return { sync, recover, close: closeLog };

  /** No transaction runs until `done` is called: that is how writers are made to wait for a long log. */
  function sync(done: (error: Error | null) => void): void {
    fdatasync(descriptor, (error) => {
      if (error !== null) {
        log?.error({ err: error }, 'the write-ahead log could not be synced; the store refuses until it is');
        return done(error);
      }
      const frames = framesOfLog();
      if (!isCopying && frames >= nextCheckpoint) requestCheckpoint(frames);
      if (isCopying && frames >= limits.longestFrames) whenCopied = () => done(null);
      else done(null);
    });
  }

  /**
   * No transaction runs meanwhile. A checkpoint would read the log once more, after it was checked; so the
   * checked bytes themselves are written again, and synced.
   */
  async function recover(): Promise<Recovery> {
    if (isCopying) await new Promise<void>((resolve) => (whenCopied = resolve));
    if (!knowsNoop(database)) return lost('This version of SQLite does not tell the length of its log.');
    try {
      if (!(await rewriteLog(descriptor, committedFrames()))) return lost('The checksums do not hold.');
      await promisify(fdatasync)(descriptor);
      return 'recovered';
    } catch {
      // What is wrong with the disk was logged when it began.
      return 'not_yet';
    }
  }

  function lost(why: string): 'lost' {
    log?.error({ err: new Error(why) }, 'the write-ahead log cannot be recovered; restart the server');
    return 'lost';
  }

  function committedFrames(): number {
    const frames = measure.get()?.[1];
    // SQLite answers -1 where the database is not in WAL mode, which no database of ours leaves.
    if (frames === undefined || frames < 0) throw new Error('SQLite does not tell the length of its log.');
    return frames;
  }

  function framesOfLog(): number {
    try {
      const frames = measure.get()?.[1] ?? 0;
      if (frames < lastFrames) nextCheckpoint = limits.checkpointFrames;
      lastFrames = frames;
    } catch (error) {
      reportFailure(error);
    }
    return lastFrames;
  }

  function requestCheckpoint(frames: number): void {
    // Counted from here also if it fails: that loses nothing, and the next try comes after as much again.
    nextCheckpoint = frames + limits.checkpointFrames;
    isCopying = true;
    try {
      worker ??= startWorker();
      // While it works the process must not end, since somebody may be waiting; idle, it keeps nobody.
      worker.ref();
      worker.postMessage('checkpoint' satisfies CheckpointRequest);
    } catch (error) {
      finished(error);
    }
  }

  /** Started when first needed: a thread costs memory, and a quiet server never needs it. */
  function startWorker(): Worker {
    const file = new URL(`./checkpoint-worker${extname(import.meta.url)}`, import.meta.url);
    // Options of the main thread, such as preloaded modules, are not for this one.
    const started = new Worker(file, { workerData: path, execArgv: [] });
    started.on('message', (report: CheckpointReport) => finished(report.error));
    started.on('error', (error) => {
      worker = null;
      finished(error);
    });
    return started;
  }

  function finished(error: unknown): void {
    if (error !== null) reportFailure(error);
    isCopying = false;
    if (!isClosing) worker?.unref();
    const then = whenCopied;
    whenCopied = null;
    then?.();
  }

  function reportFailure(error: unknown): void {
    log?.error({ err: error }, 'a checkpoint failed; the write-ahead log keeps growing');
  }

  async function closeLog(): Promise<void> {
    isClosing = true;
    const running = worker;
    if (running !== null) {
      running.ref();
      const ended = new Promise((resolve) => running.once('exit', resolve));
      running.postMessage('close' satisfies CheckpointRequest);
      await ended;
    }
    await promisify(close)(descriptor);
  }
}

/** Before 3.51 SQLite took NOOP for a checkpoint, which would copy a log that nobody has checked. */
function knowsNoop(database: Database): boolean {
  const version = database.prepare<[string]>('SELECT sqlite_version()').get()?.[0] ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 51);
}
