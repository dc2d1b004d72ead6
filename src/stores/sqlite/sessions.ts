/** The statements on sessions. Each function is one step inside a transaction; it neither begins nor ends one. */

import type { Page } from '../../conversation/page.ts';
import { expiresAt, type Session, type SessionChange } from '../../conversation/session.ts';
import type { ServedBy } from '../../conversation/turn.ts';
import type { SessionQuery } from '../store.ts';
import { settingsJson } from '../stored-json.ts';
import type { Database, Statement, Value } from './database.ts';
import { SESSION_COLUMNS, type SessionRow, toSession } from './rows.ts';

/** The owner of deleted sessions. No client has an empty name, so nobody finds them. */
export const NOBODY = '';

export function createSqliteSessions(database: Database) {
  const insertRow = database.prepare(
    `INSERT INTO sessions
       (id, owner, created_at, updated_at, settings, expires_at, served_provider, served_model)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const findRow = database.prepare<SessionRow>(
    `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.id = ? AND s.owner = ?`,
  );
  const updateRow = database.prepare(
    `UPDATE sessions SET settings = ?, updated_at = ?, expires_at = ?, served_provider = ?, served_model = ?
     WHERE sequence = ?`,
  );
  // The right-hand sides see the row as it was: the difference is the session's time to live, or null.
  const moveHeadOf = database.prepare(
    `UPDATE sessions SET head = ?1, updated_at = ?2, expires_at = ?2 + (expires_at - updated_at),
       served_provider = ?3, served_model = ?4
     WHERE sequence = ?5`,
  );
  const detachRow = database.prepare(
    `UPDATE sessions SET owner = '${NOBODY}', head = NULL, expires_at = NULL, settings = '{}' WHERE sequence = ?`,
  );
  const deleteRunning = database.prepare('DELETE FROM running_turns WHERE session = ?');
  const deleteKey = database.prepare('DELETE FROM session_keys WHERE session = ?');
  const insertPair = database.prepare(
    'INSERT INTO session_metadata (session, key, value, owner, session_id) VALUES (?, ?, ?, ?, ?)',
  );
  const deletePairs = database.prepare('DELETE FROM session_metadata WHERE session = ?');
  const listStatements = new Map<string, Statement<SessionRow>>();

  const insertDetachedRow = database.prepare(
    `INSERT INTO sessions (id, owner, created_at, updated_at, settings) VALUES (?, '${NOBODY}', ?, ?, '{}')`,
  );
  const attachRow = database.prepare(
    `UPDATE sessions SET owner = ?, head = ?, settings = ?, expires_at = ?, served_provider = ?, served_model = ?
     WHERE sequence = ?`,
  );

  return { insert, find, list, update, moveHead, remove, detach, insertDetached, attach };

  /** Adds the session, without a head, and returns its key. */
  function insert(session: Session): number {
    const { id, owner, createdAt, updatedAt } = session;
    const { lastInsertRowid } = insertRow.run(
      id,
      owner,
      createdAt,
      updatedAt,
      settingsJson(session),
      expiresAt(session),
      ...servedColumns(session.servedBy),
    );
    insertMetadata(lastInsertRowid, session);
    return lastInsertRowid;
  }

  function find(owner: string, sessionId: string): SessionRow | undefined {
    return findRow.get(sessionId, owner);
  }

  function list(query: SessionQuery): Page<Session> {
    const { owner, after, order, limit } = query;
    const pairs = Object.entries(query.metadata);
    const parameters: Value[] = [owner];
    if (after !== null) parameters.push(after);
    for (const pair of pairs) parameters.push(...pair);
    // One row more tells whether there is another page.
    const rows = listStatement(pairs.length, after !== null, order).all(...parameters, limit + 1);
    return { data: rows.slice(0, limit).map(toSession), hasMore: rows.length > limit };
  }

  /** The list's statement differs by its number of pairs, which the API bounds. */
  function listStatement(pairs: number, hasAfter: boolean, order: 'asc' | 'desc'): Statement<SessionRow> {
    const key = `${pairs} ${hasAfter} ${order}`;
    let statement = listStatements.get(key);
    if (statement === undefined) {
      statement = database.prepare<SessionRow>(sessionListSql(pairs, hasAfter, order));
      listStatements.set(key, statement);
    }
    return statement;
  }

  function update(
    owner: string,
    sessionId: string,
    change: SessionChange,
    updatedAt: number,
  ): Session | null {
    const row = find(owner, sessionId);
    if (row === undefined) return null;
    const session: Session = { ...toSession(row), ...change, updatedAt };
    const [sequence] = row;
    const served = servedColumns(session.servedBy);
    updateRow.run(settingsJson(session), updatedAt, expiresAt(session), ...served, sequence);
    if (change.metadata !== undefined) {
      deletePairs.run(sequence);
      insertMetadata(sequence, session);
    }
    return session;
  }

  function moveHead(session: number, turn: number, served: ServedBy | null, updatedAt: number): void {
    moveHeadOf.run(turn, updatedAt, ...servedColumns(served), session);
  }

  function remove(owner: string, sessionId: string): boolean {
    const row = find(owner, sessionId);
    if (row !== undefined) detach(row[0]);
    return row !== undefined;
  }

  /**
   * Takes the session from its owner, with everything by which it, its turns or its keys could be found. What was
   * in it is removed by sweep.ts.
   */
  function detach(session: number): void {
    detachRow.run(session);
    deletePairs.run(session);
    deleteRunning.run(session);
    deleteKey.run(session);
  }

  /** Adds a session as `detach` leaves one, for turns to come into it, and returns its key. */
  function insertDetached({ id, createdAt, updatedAt }: Session): number {
    return insertDetachedRow.run(id, createdAt, updatedAt).lastInsertRowid;
  }

  /** Gives a session that was added so to its owner, with all that it is found by. */
  function attach(sequence: number, session: Session, head: number | null): void {
    const served = servedColumns(session.servedBy);
    attachRow.run(session.owner, head, settingsJson(session), expiresAt(session), ...served, sequence);
    insertMetadata(sequence, session);
  }

  function insertMetadata(sequence: number, session: Session): void {
    for (const [key, value] of Object.entries(session.metadata)) {
      insertPair.run(sequence, key, value, session.owner, session.id);
    }
  }
}

function servedColumns(served: ServedBy | null): [provider: string | null, model: string | null] {
  return served === null ? [null, null] : [served.provider, served.model];
}

/**
 * Parameters: the owner, the cursor if there is one, each pair's key and value, the limit. The first pair's
 * index gives the sessions in the order of the list; the others are looked up for each. Without pairs the
 * owner's index does the same.
 */
function sessionListSql(pairs: number, hasAfter: boolean, order: 'asc' | 'desc'): string {
  const [source, id, owner] =
    pairs === 0
      ? ['sessions s', 's.id', 's.owner']
      : ['session_metadata m CROSS JOIN sessions s ON s.sequence = m.session', 'm.session_id', 'm.owner'];
  const conditions = [`${owner} = ?`];
  if (hasAfter) conditions.push(`${id} ${order === 'asc' ? '>' : '<'} ?`);
  if (pairs > 0) conditions.push('m.key = ? AND m.value = ?');
  for (let pair = 1; pair < pairs; pair += 1) {
    conditions.push(
      'EXISTS (SELECT 1 FROM session_metadata o WHERE o.session = m.session AND o.key = ? AND o.value = ?)',
    );
  }
  return `SELECT ${SESSION_COLUMNS} FROM ${source}
    WHERE ${conditions.join(' AND ')} ORDER BY ${id} ${order} LIMIT ?`;
}
