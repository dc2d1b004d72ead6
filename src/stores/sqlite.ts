/**
 * The store on SQLite: a file, or memory for as long as the process lives. This file is the surface; tables
 * are in sqlite-schema.ts, statements in sqlite-sessions.ts, sqlite-turns.ts and sqlite-paths.ts, and
 * durability in sqlite-group-commit.ts and sqlite-log.ts. The database is read and written on the event loop,
 * in microseconds; the disk is waited for elsewhere.
 */

import type { Session } from '../conversation/session.ts';
import { joinsConversation, type Turn } from '../conversation/turn.ts';
import { type Database, openDatabase } from './sqlite-database.ts';
import { openDatabaseFile } from './sqlite-file.ts';
import { createGroupCommit, type GroupCommit } from './sqlite-group-commit.ts';
import { openWriteAheadLog, type StoreLog } from './sqlite-log.ts';
import { createSqlitePaths } from './sqlite-paths.ts';
import { type SessionRow, toSession } from './sqlite-rows.ts';
import { migrate, SCHEMA_VERSION } from './sqlite-schema.ts';
import { createSqliteSessions } from './sqlite-sessions.ts';
import { createSqliteTurns } from './sqlite-turns.ts';
import type { BeginOutcome, PathQuery, SessionPath, Store, TurnBegin, TurnCommit } from './store.ts';

/**
 * Opens the store in a file, created with its directory if missing, and brings it up to date. Throws an
 * `Error` for the operator if the file is another server's, a newer Parley's or not a Parley database.
 */
export function openSqliteStore(location: string, log?: StoreLog): Store {
  const file = openDatabaseFile(location);
  const writeAheadLog = openWriteAheadLog(file.database, file.path, log);
  const commits = createGroupCommit(file.database, writeAheadLog.sync);
  return createStore(file.database, commits, async () => {
    await writeAheadLog.close();
    file.close();
  });
}

/** The same without a file: what it remembers ends with the process. */
export function openMemoryStore(): Store {
  const database = openDatabase(':memory:');
  migrate(database);
  return createStore(database, createGroupCommit(database, null), () => Promise.resolve(database.close()));
}

function createStore(database: Database, commits: GroupCommit, release: () => Promise<void>): Store {
  const sessions = createSqliteSessions(database);
  const turns = createSqliteTurns(database);
  const paths = createSqlitePaths(database);

  return {
    createSession: (session, ended = []) => commits.write(() => createSession(session, ended)),
    getSession: (owner, sessionId) => readSession(owner, sessionId, toSession),
    listSessions: (query) => commits.read(() => sessions.list(query)),
    updateSession: (owner, sessionId, change, updatedAt) =>
      commits.write(() => sessions.update(owner, sessionId, change, updatedAt)),
    deleteSession: (owner, sessionId) => commits.write(() => sessions.remove(owner, sessionId)),
    beginTurn: (begin) => commits.write(() => beginTurn(begin)),
    commitTurn: (commit) => commits.write(() => commitTurn(commit)),
    getTurn: (owner, sessionId, turnId) =>
      readSession(owner, sessionId, ([session]) => turns.get(session, sessionId, turnId)),
    listTurns: (owner, sessionId, page) =>
      readSession(owner, sessionId, ([session]) => turns.list(session, sessionId, page)),
    listItems: (owner, sessionId, page) =>
      readSession(owner, sessionId, ([session, head]) =>
        paths.pageOfItems(session, turns.withSequence(head), page),
      ),
    readPath: (query) => readSession(query.owner, query.sessionId, (row) => readPath(row, query)),
    failInterrupted: (error, completedAt) => commits.write(() => turns.failRunning(error, completedAt)),
    ping: () => commits.write(probe),
    async close() {
      await commits.close();
      await release();
    },
  };

  function createSession(session: Session, ended: readonly Turn[]): void {
    if (session.headTurnId !== (ended.at(-1)?.id ?? null)) {
      throw new Error(`The head of session ${session.id} must be the last of its turns.`);
    }
    const sequence = sessions.insert(session);
    const head = turns.append(sequence, ended);
    if (head !== null) sessions.moveHead(sequence, head, session.updatedAt);
  }

  function beginTurn({
    owner,
    sessionId,
    turnId,
    parentTurnId,
    input,
    createdAt,
    reach,
  }: TurnBegin): BeginOutcome {
    const row = sessions.find(owner, sessionId);
    if (row === undefined) return { kind: 'missing', what: 'session' };
    const [session, head] = row;
    const runningId = turns.runningId(session);
    if (runningId !== undefined) return { kind: 'busy', turnId: runningId };
    const parent =
      parentTurnId === undefined ? turns.withSequence(head) : turns.withId(session, parentTurnId);
    if (parent === undefined) return { kind: 'missing', what: 'parent' };
    if (parent !== null && !joinsConversation(parent.status)) return { kind: 'unusable_parent' };
    const fence = turns.begin(session, parent, { id: turnId, input, createdAt });
    const settings = toSession(row);
    const path = paths.read(parent, reach, settings);
    return { kind: 'begun', session: settings, path, parentId: parent?.id ?? null, fence };
  }

  function commitTurn(commit: TurnCommit): boolean {
    const held = turns.held(commit);
    if (held === undefined) return false;
    const { status, completedAt } = commit.outcome;
    turns.finish(held.session, held.turn, commit.outcome);
    if (joinsConversation(status)) sessions.moveHead(held.session, held.turn, completedAt);
    return true;
  }

  function readPath(row: SessionRow, { turnId, reach }: PathQuery): SessionPath {
    const session = toSession(row);
    const end = turnId === undefined ? turns.withSequence(row[1]) : turns.withId(row[0], turnId);
    const usable = end && joinsConversation(end.status) ? end : null;
    return { session, path: paths.read(usable, reach, session) };
  }

  /** Reads on a session; null if the owner has none of that id. */
  function readSession<Result>(
    owner: string,
    sessionId: string,
    use: (row: SessionRow) => Result,
  ): Promise<Result | null> {
    return commits.read(() => {
      const row = sessions.find(owner, sessionId);
      return row === undefined ? null : use(row);
    });
  }

  /** Writes a value that is there already: what would fail a turn, a full disk included, fails this. */
  function probe(): void {
    database.execute(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }
}
