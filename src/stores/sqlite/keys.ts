/** The statements on request keys. Each function is one step inside a transaction, begun by the caller. */

import type { RequestKey } from '../../conversation/request-key.ts';
import type { TurnStatus } from '../../conversation/turn.ts';
import type { Database } from './database.ts';
import { SESSION_COLUMNS, type SessionRow } from './rows.ts';

/** What a key stands for that has been used before and has not expired. */
export interface KnownTurn {
  /** Whether the request is the same. */
  matches: boolean;
  turnId: string;
  status: TurnStatus;
}
export interface KnownSession {
  matches: boolean;
  row: SessionRow;
}

export function createSqliteKeys(database: Database) {
  const findTurn = database.prepare<[fingerprint: string, turnId: string, status: TurnStatus]>(
    `SELECT k.fingerprint, t.id, t.status FROM turn_keys k CROSS JOIN turns t ON t.sequence = k.turn
     WHERE k.session = ? AND k.key = ? AND k.expires_at > ?`,
  );
  // An expired key, or that of a failed turn, is there already and stands for the new turn from now on.
  const putTurn = database.prepare(
    `INSERT INTO turn_keys (session, key, fingerprint, turn, expires_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (session, key) DO UPDATE
     SET fingerprint = excluded.fingerprint, turn = excluded.turn, expires_at = excluded.expires_at`,
  );
  const deleteTurn = database.prepare('DELETE FROM turn_keys WHERE session = ? AND key = ?');
  const findSession = database.prepare<[fingerprint: string, ...SessionRow]>(
    `SELECT k.fingerprint, ${SESSION_COLUMNS}
     FROM session_keys k CROSS JOIN sessions s ON s.sequence = k.session
     WHERE k.owner = ?1 AND k.key = ?2 AND k.expires_at > ?3 AND (s.expires_at IS NULL OR s.expires_at > ?3)`,
  );
  const putSession = database.prepare(
    `INSERT INTO session_keys (owner, key, fingerprint, session, expires_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (owner, key) DO UPDATE
     SET fingerprint = excluded.fingerprint, session = excluded.session, expires_at = excluded.expires_at`,
  );

  return { turnOf, rememberTurn, forgetTurn, sessionOf, rememberSession };

  /** @param now milliseconds since the epoch */
  function turnOf(session: number, key: RequestKey, now: number): KnownTurn | undefined {
    const row = key.takesOver ? undefined : findTurn.get(session, key.value, now);
    return row && { matches: row[0] === key.fingerprint, turnId: row[1], status: row[2] };
  }

  function rememberTurn(session: number, key: RequestKey, turn: number): void {
    putTurn.run(session, key.value, key.fingerprint, turn, key.expiresAt);
  }

  function forgetTurn(session: number, key: RequestKey): void {
    deleteTurn.run(session, key.value);
  }

  /**
   * A session that has expired has taken its key along, though both may still be there.
   * @param now milliseconds since the epoch
   */
  function sessionOf(owner: string, key: RequestKey, now: number): KnownSession | undefined {
    const found = key.takesOver ? undefined : findSession.get(owner, key.value, now);
    if (found === undefined) return undefined;
    const [fingerprint, ...row] = found;
    return { matches: fingerprint === key.fingerprint, row };
  }

  function rememberSession(owner: string, key: RequestKey, session: number): void {
    putSession.run(owner, key.value, key.fingerprint, session, key.expiresAt);
  }
}
