/** Reading a whole SQLite store, a few rows at a time, each piece between the calls of others. */

import type { Session } from '../../conversation/session.ts';
import type { UsageTotal } from '../../conversation/usage-count.ts';
import type { DumpSource, StoredTurn } from '../portable-dump.ts';
import type { PortableSessionKey, PortableTurnKey } from '../portable-store.ts';
import type { Database } from './database.ts';
import type { GroupCommit } from './group-commit.ts';
import {
  arrayText,
  type ItemRow,
  SESSION_COLUMNS,
  type SessionRow,
  TURN_COLUMNS,
  type TurnRow,
  toSession,
  type UsageRow,
} from './rows.ts';
import { NOBODY } from './sessions.ts';

/** Rows that are read at once; turns are read one by one, for each may be large. */
const AT_ONCE = 100;

type TurnKeyRow = [key: string, fingerprint: string, turnId: string, expiresAt: number];
type SessionKeyRow = [owner: string, key: string, fingerprint: string, sessionId: string, expiresAt: number];
type DailyUsageRow = [day: string, ...UsageRow];

export function createSqliteDump(
  database: Database,
  { read }: Pick<GroupCommit, 'read'>,
): DumpSource & { countSessions(): Promise<number> } {
  const count = database.prepare<[number]>(`SELECT count(*) FROM sessions WHERE owner <> '${NOBODY}'`);
  const sessionsAfter = database.prepare<SessionRow>(
    `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.id > ? AND s.owner <> '${NOBODY}' ORDER BY s.id LIMIT ?`,
  );
  const turnAfter = database.prepare<TurnRow>(
    `SELECT ${TURN_COLUMNS} FROM sessions s CROSS JOIN turns t ON t.session = s.sequence
     WHERE s.id = ? AND s.owner <> '${NOBODY}' AND t.sequence > ? ORDER BY t.sequence LIMIT 1`,
  );
  const itemsOfTurn = database.prepare<ItemRow>(
    'SELECT output, json FROM items WHERE turn = ? ORDER BY sequence',
  );
  const callsOfRunning = database.prepare<[calls: string | null]>(
    'SELECT r.calls FROM turns t CROSS JOIN running_turns r ON r.session = t.session WHERE t.sequence = ? AND r.turn = t.sequence',
  );
  const turnKeysAfter = database.prepare<TurnKeyRow>(
    `SELECT k.key, k.fingerprint, t.id, k.expires_at
     FROM sessions s CROSS JOIN turn_keys k ON k.session = s.sequence CROSS JOIN turns t ON t.sequence = k.turn
     WHERE s.id = ? AND s.owner <> '${NOBODY}' AND k.key > ? AND k.expires_at > ? ORDER BY k.key LIMIT ?`,
  );
  const sessionKeysAfter = database.prepare<SessionKeyRow>(
    `SELECT k.owner, k.key, k.fingerprint, s.id, k.expires_at
     FROM session_keys k CROSS JOIN sessions s ON s.sequence = k.session
     WHERE (k.owner, k.key) > (?, ?) AND k.expires_at > ? ORDER BY k.owner, k.key LIMIT ?`,
  );
  const usageAfter = database.prepare<DailyUsageRow>(
    `SELECT day, owner, provider, model, writer, turns, attempts, input_tokens, output_tokens, cached_tokens,
       reasoning_tokens, cost FROM usage
     WHERE (day, owner, provider, model, writer) > (?, ?, ?, ?, ?)
     ORDER BY day, owner, provider, model, writer LIMIT ?`,
  );

  return {
    countSessions: () => read(() => count.get()?.[0] ?? 0),
    sessions,
    turns,
    turnKeys,
    sessionKeys,
    usage,
  };

  async function* sessions(): AsyncGenerator<Session> {
    const found = rows<SessionRow>((last) => sessionsAfter.all(last?.[2] ?? '', AT_ONCE));
    for await (const row of found) yield toSession(row);
  }

  async function* turns({ id: sessionId }: Session): AsyncGenerator<StoredTurn> {
    for (let after = 0; ; ) {
      const found = await read(() => {
        const row = turnAfter.get(sessionId, after);
        return row && { row, items: itemsOfTurn.all(row[0]), calls: callsOfRunning.get(row[0])?.[0] ?? null };
      });
      if (found === undefined) return;
      const [sequence, id, parentId, status, createdAt, completedAt, record] = found.row;
      const input = arrayText(found.items, 0);
      const output = completedAt === null ? found.calls : arrayText(found.items, 1);
      yield { id, sessionId, parentId, status, createdAt, completedAt, input, output, record };
      after = sequence;
    }
  }

  async function* turnKeys({ id: sessionId }: Session, now: number): AsyncGenerator<PortableTurnKey> {
    for await (const [value, fingerprint, turnId, expiresAt] of rows<TurnKeyRow>((last) =>
      turnKeysAfter.all(sessionId, last?.[0] ?? '', now, AT_ONCE),
    )) {
      yield { sessionId, turnId, value, fingerprint, expiresAt };
    }
  }

  async function* sessionKeys(now: number): AsyncGenerator<PortableSessionKey> {
    for await (const [owner, value, fingerprint, sessionId, expiresAt] of rows<SessionKeyRow>((last) =>
      sessionKeysAfter.all(last?.[0] ?? '', last?.[1] ?? '', now, AT_ONCE),
    )) {
      yield { owner, sessionId, value, fingerprint, expiresAt };
    }
  }

  async function* usage(): AsyncGenerator<UsageTotal> {
    const first = ['', '', '', '', ''] as const;
    for await (const row of rows<DailyUsageRow>((last) => {
      const [day, owner, provider, model, writer] = last ?? first;
      return usageAfter.all(day, owner, provider, model, writer, AT_ONCE);
    })) {
      const [day, owner, provider, model, writer, turnCount, attempts] = row;
      const [, , , , , , , inputTokens, outputTokens, cachedTokens, reasoningTokens, cost] = row;
      const tokens = { inputTokens, outputTokens, cachedTokens, reasoningTokens };
      yield { day, owner, provider, model, writer, turns: turnCount, attempts, ...tokens, cost };
    }
  }

  /** Piece by piece, each after the last row of the one before. */
  async function* rows<Row>(readAfter: (last: Row | undefined) => Row[]): AsyncGenerator<Row> {
    for (let last: Row | undefined; ; ) {
      const found = await read(() => readAfter(last));
      yield* found;
      last = found.at(-1);
      if (found.length < AT_ONCE) return;
    }
  }
}
