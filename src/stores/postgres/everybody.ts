/**
 * What operators see of the sessions and turns of all owners. Tables and indexes are those of the store: that an
 * operator may look costs a turn nothing.
 */

import { firstIdAt } from '../../conversation/id.ts';
import type { PageRequest, SearchedPage } from '../../conversation/page.ts';
import type { Session } from '../../conversation/session.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import type { TurnQuery } from '../admin-store.ts';
import type { Connections, Statement } from './connections.ts';
import { NOBODY, SESSION_COLUMNS, type SessionRow, type SummaryRow, toSession, toSummary } from './rows.ts';

/** An id is drawn before its turn's time is taken, which a busy server does a moment later. */
const ID_LEAD_MILLISECONDS = 1000;

/**
 * Rows that one search looks at, in as many reads: most pages are found among the first few rows, and whoever looks for
 * little should not make a round trip for every page of them.
 */
const READS = [50, 450];

/** @param schema its quoted name */
export function createPostgresEverybody({ run }: Connections, schema: string) {
  const findOwner: Statement<{ owner: string }> = {
    name: 'find_owner',
    text: `SELECT owner FROM ${schema}.sessions WHERE id = $1`,
  };
  const findSummary: Statement<SummaryRow> = {
    name: 'find_summary',
    text: summaries(`SELECT * FROM ${schema}.turns WHERE id = $1`),
  };
  // The index of the ids is the order of time.
  const newestTurns: Statement<SummaryRow> = {
    name: 'newest_turns',
    text: summaries(
      `SELECT * FROM ${schema}.turns WHERE id >= $2 AND ($1::text IS NULL OR id < $1) ORDER BY id DESC LIMIT $3`,
    ),
  };
  const turnsBefore: Statement<SummaryRow> = {
    name: 'turns_before',
    text: summaries(`SELECT * FROM ${schema}.turns WHERE id >= $2 AND id < $1 ORDER BY id DESC LIMIT $3`),
  };
  // Within a session the order of insertion is that of the ids, and there is an index for it.
  const turnsOfSession: Statement<SummaryRow> = {
    name: 'turns_of_session',
    text: summaries(
      `SELECT of_session.* FROM ${schema}.sessions s CROSS JOIN LATERAL (
         SELECT * FROM ${schema}.turns t WHERE t.session = s.sequence AND t.number < coalesce(
           (SELECT o.number FROM ${schema}.turns o WHERE o.id = $1), CASE WHEN $1::text IS NULL THEN 2147483647 ELSE 0 END)
         ORDER BY t.number DESC LIMIT $3
       ) of_session WHERE s.id = $2`,
    ),
  };

  return { ownerOf, sessions, turns, turn };

  async function ownerOf(sessionId: string): Promise<string | null> {
    const [row] = await run(findOwner, sessionId);
    return row === undefined || row.owner === NOBODY ? null : row.owner;
  }

  function sessions({ limit, after, order }: PageRequest): Promise<SearchedPage<Session>> {
    return search({
      limit,
      after,
      read: (last, count) =>
        last === null
          ? run(sessionsStatement(false, order), count)
          : run(sessionsStatement(true, order), count, last),
      idOf: ({ id }) => id,
      match: (row) => (row.owner === NOBODY ? null : toSession(row)),
    });
  }

  function turns(query: TurnQuery): Promise<SearchedPage<TurnSummary>> {
    const { limit, after, sessionId, since } = query;
    const firstId = since === null ? '' : firstIdAt(since - ID_LEAD_MILLISECONDS);
    return search({
      limit,
      after,
      read: async (last, count) => {
        if (sessionId !== null) return untilOlder(await run(turnsOfSession, last, sessionId, count), firstId);
        return run(last === null ? newestTurns : turnsBefore, last, firstId, count);
      },
      idOf: ({ id }) => id,
      match: (row) => matching(row, query),
    });
  }

  async function turn(turnId: string): Promise<TurnSummary | null> {
    const [row] = await run(findSummary, turnId);
    return row === undefined || row.owner === NOBODY ? null : toSummary(row);
  }

  /** The turns are chosen first, and only then joined with what belongs to them. */
  function summaries(chosen: string): string {
    return `SELECT t.id, s.id AS session_id, s.owner, p.id AS parent_id, o.status, t.created_at, o.completed_at, o.record
      FROM (${chosen}) t JOIN ${schema}.sessions s ON s.sequence = t.session
        LEFT JOIN ${schema}.turns p ON p.session = t.session AND p.number = t.parent
        LEFT JOIN ${schema}.outcomes o ON o.session = t.session AND o.number = t.number
      ORDER BY t.id DESC`;
  }

  function sessionsStatement(hasAfter: boolean, order: 'asc' | 'desc'): Statement<SessionRow> {
    const condition = hasAfter ? `WHERE s.id ${order === 'asc' ? '>' : '<'} $2` : '';
    return {
      name: `all_sessions_${hasAfter ? 'after' : 'first'}_${order}`,
      text: `SELECT ${SESSION_COLUMNS} FROM ${schema}.sessions s ${condition} ORDER BY s.id ${order} LIMIT $1`,
    };
  }
}

interface Search<Row, Element> {
  limit: number;
  /** Where to begin; null = at the first row. */
  after: string | null;
  /** The next rows in the order of the search. */
  read(after: string | null, count: number): Promise<Row[]>;
  idOf(row: Row): string;
  /** Null for a row that is not looked for. */
  match(row: Row): Element | null;
}

async function search<Row, Element>(wanted: Search<Row, Element>): Promise<SearchedPage<Element>> {
  const data: Element[] = [];
  let lastId = wanted.after;
  for (const count of READS) {
    const rows = await wanted.read(lastId, count);
    for (const row of rows) {
      if (data.length === wanted.limit) return { data, hasMore: true, lastId };
      lastId = wanted.idOf(row);
      const element = wanted.match(row);
      if (element !== null) data.push(element);
    }
    if (rows.length < count) return { data, hasMore: false, lastId };
  }
  return { data, hasMore: true, lastId };
}

/** The rows before the first one that is older than that. */
function untilOlder(rows: SummaryRow[], firstId: string): SummaryRow[] {
  const older = rows.findIndex(({ id }) => id < firstId);
  return older === -1 ? rows : rows.slice(0, older);
}

/** What the columns tell is asked first: reading a record costs more than all of them. */
function matching(row: SummaryRow, query: TurnQuery): TurnSummary | null {
  if (row.owner === NOBODY) return null;
  if (query.owner !== null && row.owner !== query.owner) return null;
  if (query.status !== null && (row.status ?? 'in_progress') !== query.status) return null;
  if (query.since !== null && row.created_at < query.since) return null;
  const summary = toSummary(row);
  return query.provider === null || summary.provider === query.provider ? summary : null;
}
