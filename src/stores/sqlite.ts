/**
 * The store on SQLite: a file, or memory for as long as the process lives. This file is the surface. In sqlite/, tables
 * are in schema.ts, statements in sessions.ts, turns.ts, items.ts, paths.ts, keys.ts, sweep.ts, admin.ts, dump.ts and
 * restore.ts, and durability in group-commit.ts and log.ts. The database is read and written on the event loop, in
 * microseconds; the disk is waited for elsewhere.
 */

import type { RequestKey } from '../conversation/request-key.ts';
import { isExpired, type Session } from '../conversation/session.ts';
import { servedBy, type Turn } from '../conversation/turn.ts';
import type { OpenedStore } from './admin-store.ts';
import { dumpFrom } from './portable-dump.ts';
import { restoreInto } from './portable-restore.ts';
import { createSqliteAdmin } from './sqlite/admin.ts';
import { type Database, openDatabase } from './sqlite/database.ts';
import { createSqliteDump } from './sqlite/dump.ts';
import { openDatabaseFile } from './sqlite/file.ts';
import { createGroupCommit, type GroupCommit } from './sqlite/group-commit.ts';
import { createSqliteItems } from './sqlite/items.ts';
import { createSqliteKeys } from './sqlite/keys.ts';
import { openWriteAheadLog } from './sqlite/log.ts';
import { createSqlitePaths } from './sqlite/paths.ts';
import { createSqliteRestore } from './sqlite/restore.ts';
import { type SessionRow, toSession } from './sqlite/rows.ts';
import { migrate, SCHEMA_VERSION } from './sqlite/schema.ts';
import { createSqliteSessions } from './sqlite/sessions.ts';
import { createSqliteSweep } from './sqlite/sweep.ts';
import { createSqliteTurns } from './sqlite/turns.ts';
import type { BeginOutcome, CreateOutcome, PathQuery, SessionPath, TurnBegin, TurnCommit } from './store.ts';
import type { StoreLog } from './store-log.ts';

/**
 * Opens the store in a file, created with its directory if missing, and brings it up to date. Throws an
 * `Error` for the operator if the file is another server's, a newer Parley's or not a Parley database.
 */
export function openSqliteStore(location: string, log?: StoreLog): OpenedStore {
  const file = openDatabaseFile(location);
  const writeAheadLog = openWriteAheadLog(file.database, file.path, log);
  return createSqliteStore(file.database, createGroupCommit(file.database, writeAheadLog), async () => {
    await writeAheadLog.close();
    file.close();
  });
}

/** The same without a file: what it remembers ends with the process. */
export function openMemoryStore(): OpenedStore {
  const database = openDatabase(':memory:');
  migrate(database);
  const commits = createGroupCommit(database, null);
  return createSqliteStore(database, commits, () => Promise.resolve(database.close()));
}

/**
 * The store on a database that is up to date.
 * @param release called last, when nothing is under way any more
 */
export function createSqliteStore(
  database: Database,
  commits: GroupCommit,
  release: () => Promise<void>,
): OpenedStore {
  const sessions = createSqliteSessions(database);
  const turns = createSqliteTurns(database);
  const paths = createSqlitePaths(database);
  const items = createSqliteItems(database);
  const keys = createSqliteKeys(database);
  const { sweep } = createSqliteSweep(database, sessions.detach);
  const admin = createSqliteAdmin(database, commits, sessions.remove);
  const dump = createSqliteDump(database, commits);

  return {
    isShared: false,
    createSession: (session, ended = [], key = null) =>
      commits.write(() => createSession(session, ended, key)),
    findSession: (owner, key, now) =>
      commits.read(() => {
        const known = keys.sessionOf(owner, key, now);
        return known?.matches === true ? toSession(known.row) : null;
      }),
    getSession: (owner, sessionId) => readSession(owner, sessionId, toSession),
    listSessions: (query) => commits.read(() => sessions.list(query)),
    updateSession: (owner, sessionId, change, updatedAt) =>
      commits.write(() => sessions.update(owner, sessionId, change, updatedAt)),
    deleteSession: (owner, sessionId) => commits.write(() => sessions.remove(owner, sessionId)),
    beginTurn: (begin) =>
      commits.write(
        () => beginTurn(begin),
        (outcome) => undoBegin(begin, outcome),
      ),
    commitTurn: (commit) => commits.write(() => commitTurn(commit)),
    noteCalls: (claim, calls) => commits.write(() => turns.noteCalls(claim, calls)),
    renewTurns: ({ running, waiting }) =>
      commits.read(() => {
        const lost = [...running.filter((claim) => turns.held(claim) === undefined), ...waiting];
        return { lost: lost.map(({ turnId }) => turnId), cancelled: [] };
      }),
    cancelTurn: async () => undefined,
    leaveLine: async () => undefined,
    getTurn: (owner, sessionId, turnId) =>
      readSession(owner, sessionId, ([session]) => turns.get(session, sessionId, turnId)),
    listTurns: (owner, sessionId, page) =>
      readSession(owner, sessionId, ([session]) => turns.list(session, sessionId, page)),
    listItems: (owner, sessionId, page) =>
      readSession(owner, sessionId, ([session, head]) =>
        paths.pageOfItems(session, turns.withSequence(head), page),
      ),
    deleteItem: (owner, sessionId, itemId) => commits.write(() => deleteItem(owner, sessionId, itemId)),
    readPath: (query) => readSession(query.owner, query.sessionId, (row) => readPath(row, query)),
    failInterrupted: (error, completedAt) => commits.write(() => turns.failRunning(error, completedAt)),
    async sweep(now, idleBefore) {
      const { sessions: count, more, remember } = await commits.write(() => sweep(now, idleBefore));
      remember();
      return { sessions: count, more };
    },
    ping: () => commits.write(probe),
    admin,
    portable: {
      countSessions: dump.countSessions,
      dump: (moment) => dumpFrom(dump, admin, moment),
      restore: async (records) =>
        restoreInto(
          await commits.read(() => createSqliteRestore(database, commits, { sessions, turns, admin })),
          records,
        ),
    },
    async close() {
      await commits.close();
      await release();
    },
  };

  function createSession(session: Session, ended: readonly Turn[], key: RequestKey | null): CreateOutcome {
    if (session.headTurnId !== (ended.at(-1)?.id ?? null)) {
      throw new Error(`The head of session ${session.id} must be the last of its turns.`);
    }
    const known = key && keys.sessionOf(session.owner, key, session.createdAt);
    if (known)
      return known.matches ? { kind: 'replay', session: toSession(known.row) } : { kind: 'key_reused' };
    const sequence = sessions.insert(session);
    const head = turns.append(sequence, ended);
    if (head !== null) sessions.moveHead(sequence, head, session.servedBy, session.updatedAt);
    if (key !== null) keys.rememberSession(session.owner, key, sequence);
    return { kind: 'created' };
  }

  function beginTurn(begin: TurnBegin): BeginOutcome {
    const { owner, sessionId, turnId, parentTurnId, input, createdAt, reach, key } = begin;
    const row = sessions.find(owner, sessionId);
    if (row === undefined) return { kind: 'missing', what: 'session' };
    const session = toSession(row);
    if (isExpired(session, createdAt)) return { kind: 'missing', what: 'session' };
    const [sequence, head] = row;
    const known = key && keyedTurn(sequence, sessionId, key, createdAt);
    if (known && known.kind !== 'retry') return known;
    const runningId = turns.runningId(sequence);
    if (runningId !== undefined) return { kind: 'busy', turnId: runningId };
    if (!begin.mayBegin) return { kind: 'busy', turnId: null };
    const parent =
      parentTurnId === undefined ? turns.withSequence(head) : turns.withId(sequence, parentTurnId);
    if (parent === undefined) return { kind: 'missing', what: 'parent' };
    if (parent !== null && !parent.joined) return { kind: 'unusable_parent' };
    const fence = turns.begin(sequence, parent, { id: turnId, input, createdAt });
    if (key !== null) keys.rememberTurn(sequence, key, fence);
    const path = paths.read(parent, reach, session);
    return {
      kind: 'begun',
      session,
      path,
      parentId: parent?.id ?? null,
      fence,
      retries: known?.turn ?? null,
    };
  }

  /** What a key answers that has been used, or the failed turn that is to be done again; null for a new key. */
  function keyedTurn(
    session: number,
    sessionId: string,
    key: RequestKey,
    now: number,
  ): Extract<BeginOutcome, { kind: 'replay' | 'key_reused' }> | { kind: 'retry'; turn: Turn } | null {
    const known = keys.turnOf(session, key, now);
    if (known === undefined) return null;
    if (!known.matches) return { kind: 'key_reused' };
    const turn = turns.get(session, sessionId, known.turnId);
    return turn && { kind: known.status === 'failed' ? 'retry' : 'replay', turn };
  }

  /** A turn whose beginning was called a failure must not keep its session busy, nor its key. */
  function undoBegin({ sessionId, turnId, key }: TurnBegin, outcome: BeginOutcome): void {
    if (outcome.kind !== 'begun') return;
    const session = turns.withdraw({ sessionId, turnId, fence: outcome.fence });
    if (session !== null && key !== null) keys.forgetTurn(session, key);
  }

  function commitTurn(commit: TurnCommit): boolean {
    const held = turns.held(commit);
    if (held === undefined) return false;
    const { outcome } = commit;
    const joined = turns.finish(held.session, held.turn, outcome);
    if (joined) sessions.moveHead(held.session, held.turn, servedBy(outcome), outcome.completedAt);
    return true;
  }

  function deleteItem(owner: string, sessionId: string, itemId: string): boolean {
    const row = sessions.find(owner, sessionId);
    if (row === undefined || !items.remove(row[0], itemId)) return false;
    paths.forgetRead();
    return true;
  }

  function readPath(row: SessionRow, { turnId, reach }: PathQuery): SessionPath {
    const session = toSession(row);
    const end = turnId === undefined ? turns.withSequence(row[1]) : turns.withId(row[0], turnId);
    return { session, path: paths.read(end?.joined ? end : null, reach, session) };
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
