/**
 * The files around a database: their directory, the lock that keeps a second server away, and the connection
 * with its journal set up. It knows no table of ours but through the schema's checks.
 */

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreInUseError } from '../store-in-use.ts';
import { type Database, isLocked, openDatabase, resultCode } from './database.ts';
import { migrate, refuseForeignDatabase } from './schema.ts';

export interface DatabaseFile {
  database: Database;
  /** The file as SQLite names it: absolute, symbolic links resolved. */
  path: string;
  /** Closes the connection, which folds the log into the file and deletes it, and lets others open it. */
  close(): void;
}

const SQLITE_NOTADB = 26;

/**
 * Opens a database file for this process alone and brings its tables up to date; file and directory are
 * created if missing, the directory for this user alone. Throws an `Error` whose message is meant for the
 * operator.
 */
export function openDatabaseFile(location: string): DatabaseFile {
  const path = prepareDirectory(location);
  const releaseLock = lock(path);
  try {
    const database = connect(path);
    return {
      database,
      path,
      close() {
        database.close();
        releaseLock();
      },
    };
  } catch (error) {
    releaseLock();
    throw error;
  }
}

/** Makes the directory, and resolves links: the log and the lock lie beside the real file. */
function prepareDirectory(location: string): string {
  const path = resolve(location);
  const directory = dirname(path);
  const firstMade = mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (firstMade !== undefined) {
    // A new directory survives a power loss when the one that holds it is on disk too.
    for (let made = directory; made !== dirname(firstMade); made = dirname(made))
      syncDirectory(dirname(made));
  }
  return existsSync(path) ? realpathSync(path) : path;
}

/**
 * Holds an exclusive lock on a file beside the database, as an SQLite transaction that never ends. The
 * operating system frees it with the process, however that dies. The empty file stays: deleting it would race
 * with another server that has just opened it.
 */
function lock(path: string): () => void {
  const connection = new DatabaseSync(`${path}-lock`, { timeout: 0 });
  try {
    connection.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    connection.close();
    if (!isLocked(error)) throw error;
    throw new StoreInUseError(path, { cause: error });
  }
  return () => connection.close();
}

function connect(path: string): Database {
  const database = openDatabase(path);
  try {
    refuseForeignDatabase(database, path);
    database.execute('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    migrate(database);
    // From here on commits are synced, and locks waited for, in group-commit.ts, and a worker makes checkpoints.
    database.execute('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE; COMMIT');
    database.execute('PRAGMA busy_timeout = 0');
    syncDirectory(dirname(path));
    return database;
  } catch (error) {
    database.close();
    if (resultCode(error) !== SQLITE_NOTADB) throw error;
    throw new Error(`${path} is not an SQLite database.`, { cause: error });
  }
}

/** Puts a directory's entries on disk. Windows does that by itself, and cannot open a directory. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
