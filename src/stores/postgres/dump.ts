/** Reading a whole store on PostgreSQL, a few rows at a time, while others go on. */

import type { Session } from '../../conversation/session.ts';
import type { TurnStatus } from '../../conversation/turn.ts';
import type { UsageTotal } from '../../conversation/usage-count.ts';
import type { DumpSource, StoredTurn } from '../portable-dump.ts';
import type { PortableSessionKey, PortableTurnKey } from '../portable-store.ts';
import type { Connections, Statement } from './connections.ts';
import { fromText, SESSION_COLUMNS, type SessionRow, toSession } from './rows.ts';

/** Rows that are read at once, and turns, each of which may be large. */
const AT_ONCE = 100;
const TURNS_AT_ONCE = 10;

interface TurnRow {
  number: number;
  id: string;
  parent_id: string | null;
  created_at: number;
  input: string;
  /** Null while the turn is in progress, as are those below but for calls that it has noted. */
  status: TurnStatus | null;
  completed_at: number | null;
  output: string | null;
  record: string | null;
}

interface TurnKeyRow {
  key: string;
  fingerprint: string;
  turn: string;
  expires_at: number;
}

interface SessionKeyRow {
  owner: string;
  key: string;
  fingerprint: string;
  session_id: string;
  expires_at: number;
}

interface UsageRow {
  day: string;
  owner: string;
  provider: string;
  model: string;
  writer: string;
  turns: number;
  attempts: number;
  input_tokens: number;
  output_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  cost: number;
}

/** @param schema its quoted name */
export function createPostgresDump(
  { run, one }: Connections,
  schema: string,
): DumpSource & { countSessions(): Promise<number> } {
  const count: Statement<{ sessions: number }> = {
    name: 'count_sessions',
    text: `SELECT count(*) AS sessions FROM ${schema}.sessions WHERE owner <> ''`,
  };
  const sessionsAfter: Statement<SessionRow> = {
    name: 'dump_sessions',
    text: `SELECT ${SESSION_COLUMNS} FROM ${schema}.sessions s
      WHERE s.id > $1 AND s.owner <> '' ORDER BY s.id LIMIT $2`,
  };
  const turnsAfter: Statement<TurnRow> = {
    name: 'dump_turns',
    text: `SELECT t.number, t.id, p.id AS parent_id, t.created_at, t.items AS input,
        o.status, o.completed_at, coalesce(o.items, r.calls) AS output, o.record
      FROM ${schema}.sessions s JOIN ${schema}.turns t ON t.session = s.sequence
        LEFT JOIN ${schema}.running_turns r ON r.session = t.session AND r.number = t.number
        LEFT JOIN ${schema}.turns p ON p.session = t.session AND p.number = t.parent
        LEFT JOIN ${schema}.outcomes o ON o.session = t.session AND o.number = t.number
      WHERE s.id = $1 AND s.owner <> '' AND t.number > $2 ORDER BY t.number LIMIT $3`,
  };
  const turnKeysAfter: Statement<TurnKeyRow> = {
    name: 'dump_turn_keys',
    text: `SELECT k.key, k.fingerprint, t.id AS turn, k.expires_at
      FROM ${schema}.sessions s JOIN ${schema}.turn_keys k ON k.session = s.sequence
        JOIN ${schema}.turns t ON t.session = k.session AND t.number = k.number
      WHERE s.id = $1 AND s.owner <> '' AND k.key > $2 AND k.expires_at > $3 ORDER BY k.key LIMIT $4`,
  };
  const sessionKeysAfter: Statement<SessionKeyRow> = {
    name: 'dump_session_keys',
    text: `SELECT k.owner, k.key, k.fingerprint, s.id AS session_id, k.expires_at
      FROM ${schema}.session_keys k JOIN ${schema}.sessions s ON s.sequence = k.session AND s.owner = k.owner
      WHERE (k.owner, k.key) > ($1, $2) AND k.expires_at > $3 ORDER BY k.owner, k.key LIMIT $4`,
  };
  const usageAfter: Statement<UsageRow> = {
    name: 'dump_usage',
    text: `SELECT * FROM ${schema}.usage WHERE (day, owner, provider, model, writer) > ($1, $2, $3, $4, $5)
      ORDER BY day, owner, provider, model, writer LIMIT $6`,
  };

  return {
    countSessions: async () => (await one(count)).sessions,
    sessions,
    turns,
    turnKeys,
    sessionKeys,
    usage,
  };

  async function* sessions(): AsyncGenerator<Session> {
    const read = (last?: SessionRow) => run(sessionsAfter, last?.id ?? '', AT_ONCE);
    for await (const row of rows(read, AT_ONCE)) yield toSession(row);
  }

  async function* turns({ id: sessionId }: Session): AsyncGenerator<StoredTurn> {
    const read = (last?: TurnRow) => run(turnsAfter, sessionId, last?.number ?? 0, TURNS_AT_ONCE);
    for await (const row of rows(read, TURNS_AT_ONCE)) {
      const { id, parent_id: parentId, created_at: createdAt, completed_at: completedAt } = row;
      const { input, output, record, status } = row;
      yield {
        id,
        sessionId,
        parentId,
        status: status ?? 'in_progress',
        createdAt,
        completedAt,
        input,
        output,
        record,
      };
    }
  }

  async function* turnKeys({ id: sessionId }: Session, now: number): AsyncGenerator<PortableTurnKey> {
    const read = (last?: TurnKeyRow) => run(turnKeysAfter, sessionId, last?.key ?? '', now, AT_ONCE);
    for await (const { key: value, fingerprint, turn: turnId, expires_at: expiresAt } of rows(
      read,
      AT_ONCE,
    )) {
      yield { sessionId, turnId, value, fingerprint, expiresAt };
    }
  }

  async function* sessionKeys(now: number): AsyncGenerator<PortableSessionKey> {
    const read = (last?: SessionKeyRow) =>
      run(sessionKeysAfter, last?.owner ?? '', last?.key ?? '', now, AT_ONCE);
    for await (const row of rows(read, AT_ONCE)) {
      const { owner, key: value, fingerprint, session_id: sessionId, expires_at: expiresAt } = row;
      yield { owner, sessionId, value, fingerprint, expiresAt };
    }
  }

  async function* usage(): AsyncGenerator<UsageTotal> {
    const read = (last?: UsageRow) => {
      const place = last && [last.day, last.owner, last.provider, last.model, last.writer];
      return run(usageAfter, ...(place ?? ['', '', '', '', '']), AT_ONCE);
    };
    for await (const row of rows(read, AT_ONCE)) {
      yield {
        day: row.day,
        owner: fromText(row.owner),
        provider: fromText(row.provider),
        model: fromText(row.model),
        writer: row.writer,
        turns: row.turns,
        attempts: row.attempts,
        inputTokens: row.input_tokens,
        outputTokens: row.output_tokens,
        cachedTokens: row.cached_tokens,
        reasoningTokens: row.reasoning_tokens,
        cost: row.cost,
      };
    }
  }
}

/** Piece by piece, each after the last row of the one before. */
async function* rows<Row>(
  readAfter: (last: Row | undefined) => Promise<Row[]>,
  atOnce: number,
): AsyncGenerator<Row> {
  for (let last: Row | undefined; ; ) {
    const found = await readAfter(last);
    yield* found;
    last = found.at(-1);
    if (found.length < atOnce) return;
  }
}
