/**
 * What operators see of the sessions and turns of all owners. Each function is one step inside a transaction, begun by
 * the caller. Tables and indexes are those of the store: that an operator may look costs a turn nothing.
 */

import { firstIdAt } from '../../conversation/id.ts';
import type { PageRequest, SearchedPage } from '../../conversation/page.ts';
import type { Session } from '../../conversation/session.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import type { TurnQuery } from '../admin-store.ts';
import type { Database } from './database.ts';
import {
  SESSION_COLUMNS,
  type SessionRow,
  SUMMARY_COLUMNS,
  type SummaryRow,
  toSession,
  toSummary,
} from './rows.ts';
import { search } from './search.ts';
import { NOBODY } from './sessions.ts';

/** An id is drawn before its turn's time is taken, which a busy server does a moment later. */
const ID_LEAD_MILLISECONDS = 1000;

/** In the order of types in SQLite, every text comes before every blob. */
const AFTER_ALL_TEXT = "x''";

export function createSqliteEverybody(database: Database) {
  const findOwner = database.prepare<[owner: string]>('SELECT owner FROM sessions WHERE id = ?');
  const sessionsUp = database.prepare<SessionRow>(
    `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.id > coalesce(?, '') ORDER BY s.id LIMIT ?`,
  );
  const sessionsDown = database.prepare<SessionRow>(
    `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.id < coalesce(?, ${AFTER_ALL_TEXT}) ORDER BY s.id DESC LIMIT ?`,
  );
  const findSummary = database.prepare<SummaryRow>(
    `SELECT ${SUMMARY_COLUMNS} FROM turns t CROSS JOIN sessions s ON s.sequence = t.session WHERE t.id = ?`,
  );
  // The index of the ids is the order of time.
  const turnsOfAll = database.prepare<SummaryRow>(
    `SELECT ${SUMMARY_COLUMNS} FROM turns t CROSS JOIN sessions s ON s.sequence = t.session
     WHERE t.id < coalesce(?, ${AFTER_ALL_TEXT}) AND t.id >= ? ORDER BY t.id DESC LIMIT ?`,
  );
  // Within a session the order of insertion is that of the ids, and there is an index for it.
  const turnsOfSession = database.prepare<SummaryRow>(
    `SELECT ${SUMMARY_COLUMNS} FROM sessions s CROSS JOIN turns t ON t.session = s.sequence
     WHERE s.id = ?1 AND t.sequence < ?2 ORDER BY t.sequence DESC LIMIT ?3`,
  );
  const findSequence = database.prepare<[sequence: number]>('SELECT sequence FROM turns WHERE id = ?');

  return { ownerOf, sessions, turns, turn };

  function ownerOf(sessionId: string): string | null {
    const owner = findOwner.get(sessionId)?.[0] ?? NOBODY;
    return owner === NOBODY ? null : owner;
  }

  function sessions({ limit, after, order }: PageRequest): SearchedPage<Session> {
    const statement = order === 'asc' ? sessionsUp : sessionsDown;
    return search({
      limit,
      after,
      read: (last, count) => statement.all(last, count),
      idOf: ([, , id]) => id,
      match(row) {
        const session = toSession(row);
        return session.owner === NOBODY ? null : session;
      },
    });
  }

  function turns(query: TurnQuery): SearchedPage<TurnSummary> {
    const { limit, after, sessionId, since } = query;
    const firstId = since === null ? '' : firstIdAt(since - ID_LEAD_MILLISECONDS);
    return search({
      limit,
      after,
      read: (last, count) =>
        sessionId === null
          ? turnsOfAll.all(last, firstId, count)
          : untilOlder(turnsOfSession.all(sessionId, sequenceOf(last), count), firstId),
      idOf: ([id]) => id,
      match: (row) => matching(row, query),
    });
  }

  function turn(turnId: string): TurnSummary | null {
    const row = findSummary.get(turnId);
    return row === undefined || row[2] === NOBODY ? null : toSummary(row);
  }

  function sequenceOf(turnId: string | null): number {
    return turnId === null ? Number.MAX_SAFE_INTEGER : (findSequence.get(turnId)?.[0] ?? 0);
  }
}

/** The rows before the first one that is older than that. */
function untilOlder(rows: SummaryRow[], firstId: string): SummaryRow[] {
  const older = rows.findIndex(([id]) => id < firstId);
  return older === -1 ? rows : rows.slice(0, older);
}

/** What the columns tell is asked first: reading a record costs more than all of them. */
function matching(row: SummaryRow, query: TurnQuery): TurnSummary | null {
  const [, , owner, , status, createdAt] = row;
  if (owner === NOBODY) return null;
  if (query.owner !== null && owner !== query.owner) return null;
  if (query.status !== null && status !== query.status) return null;
  if (query.since !== null && createdAt < query.since) return null;
  const summary = toSummary(row);
  return query.provider === null || summary.provider === query.provider ? summary : null;
}
