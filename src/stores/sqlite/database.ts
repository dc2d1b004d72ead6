/**
 * The one file that knows `node:sqlite`'s statements: a connection with rows as tuples, transactions, and the
 * engine's errors as ours. It holds no table and no query.
 */

import { DatabaseSync } from 'node:sqlite';
import { AppError } from '../../errors.ts';

export type Value = string | number | null;

/** A prepared statement. Rows are tuples in the order of the select list: faster than objects by name. */
export interface Statement<Row extends readonly Value[]> {
  get(...parameters: Value[]): Row | undefined;
  all(...parameters: Value[]): Row[];
  run(...parameters: Value[]): { changes: number; lastInsertRowid: number };
}

export interface Database {
  prepare<Row extends readonly Value[] = []>(sql: string): Statement<Row>;
  /** Runs statements that are not worth preparing: pragmas and migrations. */
  execute(sql: string): void;
  /** Runs `work` in one write transaction, which is rolled back if `work` or the commit throws. */
  transaction<Result>(work: () => Result): Result;
  /** Has this called whenever a transaction was rolled back: what was read in it may never have been. */
  onRollback(forget: () => void): void;
  close(): void;
}

/**
 * How long a statement waits for another connection's lock, an operator's tool for example, while the database is
 * opened: the event loop stands still meanwhile. Later it does not wait.
 */
const LOCK_WAIT_MILLISECONDS = 2000;

/** Opens the database at `path`, created if missing; `:memory:` is one that lives as long as the connection. */
export function openDatabase(path: string): Database {
  const connection = new DatabaseSync(path, {
    enableForeignKeyConstraints: true,
    timeout: LOCK_WAIT_MILLISECONDS,
    returnArrays: true,
  });
  const begin = connection.prepare('BEGIN IMMEDIATE');
  const commit = connection.prepare('COMMIT');
  const rollback = connection.prepare('ROLLBACK');

  const afterRollback: (() => void)[] = [];

  return {
    prepare,
    execute: (sql) => connection.exec(sql),
    transaction,
    onRollback: (forget) => afterRollback.push(forget),
    close: () => connection.close(),
  };

  function prepare<Row extends readonly Value[]>(sql: string): Statement<Row> {
    return connection.prepare(sql) as unknown as Statement<Row>;
  }

  function transaction<Result>(work: () => Result): Result {
    begin.run();
    try {
      const result = work();
      commit.run();
      return result;
    } catch (error) {
      // Some errors, a full disk among them, have rolled back already.
      if (connection.isTransaction) rollback.run();
      for (const forget of afterRollback) forget();
      throw error;
    }
  }
}

const SQLITE_BUSY = 5;
/** SQLite's primary result codes that speak of the file or the machine, not of the statement. */
const UNAVAILABLE_CODES = new Set([
  3, // PERM
  SQLITE_BUSY,
  6, // LOCKED
  7, // NOMEM
  8, // READONLY
  10, // IOERR
  11, // CORRUPT
  13, // FULL
  14, // CANTOPEN
  15, // PROTOCOL
  26, // NOTADB
]);
/** Extended result codes keep the primary one in their low byte. */
const PRIMARY_CODE = 0xff;

/** The primary result code of an engine's error; undefined for any other thrown value. */
export function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & PRIMARY_CODE;
}

/** Whether another connection's lock is in the way, which it may not be for long. */
export function isLocked(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

/** `store_unavailable` for what keeps the engine from working; any other error as it is. */
export function asStoreError(error: unknown): unknown {
  const code = resultCode(error);
  const closed = error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE';
  if (!closed && (code === undefined || !UNAVAILABLE_CODES.has(code))) return error;
  return new AppError('store_unavailable', undefined, { cause: error });
}
