/**
 * Removing what nobody can want any more, a bounded number of rows at a time. Each function is one step inside a
 * transaction, begun by the caller.
 */

import type { Database } from './database.ts';
import { createSqliteIdle, type IdleWalk } from './idle.ts';
import { NOBODY } from './sessions.ts';

export interface Swept {
  sessions: number;
  more: boolean;
  /** To be taken up once the transaction is committed, and not if it is rolled back. */
  remember(): void;
}

/** The most that one statement removes, or makes unreachable. */
const AT_ONCE = { keys: 50, turns: 50, items: 200, sessions: 20 };
/** Rows of deleted sessions after which a batch ends: with the last statements' fewer than 500, a few milliseconds. */
const ROWS = 200;

/** @param detach makes a session unreachable, with what it could be found by */
export function createSqliteSweep(database: Database, detach: (session: number) => void) {
  const deleteTurnKeys = database.prepare(
    `DELETE FROM turn_keys WHERE (session, key) IN
       (SELECT session, key FROM turn_keys WHERE expires_at <= ? LIMIT ?)`,
  );
  const deleteSessionKeys = database.prepare(
    `DELETE FROM session_keys WHERE (owner, key) IN
       (SELECT owner, key FROM session_keys WHERE expires_at <= ? LIMIT ?)`,
  );
  const findExpired = database.prepare<[session: number]>(
    `SELECT s.sequence FROM sessions s
     WHERE s.expires_at <= ? AND NOT EXISTS (SELECT 1 FROM running_turns r WHERE r.session = s.sequence) LIMIT ?`,
  );
  const findDetached = database.prepare<[session: number]>(
    `SELECT sequence FROM sessions WHERE owner = '${NOBODY}' LIMIT 1`,
  );
  const deleteKeysOf = database.prepare(
    `DELETE FROM turn_keys WHERE session = ?1 AND key IN
       (SELECT key FROM turn_keys WHERE session = ?1 LIMIT ?2)`,
  );
  // The turns are the same as in the next statement, so no item is left without its turn.
  const deleteItemsOf = database.prepare(
    `DELETE FROM items WHERE sequence IN (
       SELECT i.sequence
       FROM (SELECT sequence FROM turns WHERE session = ?1 ORDER BY sequence LIMIT ?2) oldest
         CROSS JOIN items i ON i.turn = oldest.sequence
       LIMIT ?3)`,
  );
  const deleteTurnsOf = database.prepare(
    `DELETE FROM turns WHERE sequence IN
       (SELECT sequence FROM turns WHERE session = ?1 ORDER BY sequence LIMIT ?2)`,
  );
  const deleteSession = database.prepare('DELETE FROM sessions WHERE sequence = ?');
  const idle = createSqliteIdle(database);

  return { sweep };

  /**
   * One batch, as `Store.sweep` says.
   * @param now milliseconds since the epoch, as is `idleBefore`
   */
  function sweep(now: number, idleBefore: number | null): Swept {
    const expired = findExpired.all(now, AT_ONCE.sessions);
    for (const [session] of expired) detach(session);
    const keysLeft = sweepKeys(now);
    removeDetached();
    // After the last row that goes: the walk must know which sequence numbers will be given again.
    const walk: IdleWalk =
      idleBefore === null ? { found: [], more: false, remember: () => undefined } : idle.walk(idleBefore);
    for (const session of walk.found) detach(session);
    return {
      sessions: expired.length + walk.found.length,
      more: expired.length === AT_ONCE.sessions || keysLeft || walk.more || findDetached.get() !== undefined,
      remember: walk.remember,
    };
  }

  function sweepKeys(now: number): boolean {
    const turnKeys = deleteTurnKeys.run(now, AT_ONCE.keys).changes;
    const sessionKeys = deleteSessionKeys.run(now, AT_ONCE.keys).changes;
    return turnKeys === AT_ONCE.keys || sessionKeys === AT_ONCE.keys;
  }

  function removeDetached(): void {
    for (let rows = 0; rows < ROWS; ) {
      const [session] = findDetached.get() ?? [];
      if (session === undefined) return;
      rows += removeSome(session);
    }
  }

  /** Removes some of what a detached session has left, and with the last of it the session; how many rows. */
  function removeSome(session: number): number {
    const keys = deleteKeysOf.run(session, AT_ONCE.keys).changes;
    const items = deleteItemsOf.run(session, AT_ONCE.turns, AT_ONCE.items).changes;
    // A full batch of items may have left some, and the turns must not go before them.
    if (items === AT_ONCE.items) return keys + items;
    const turns = deleteTurnsOf.run(session, AT_ONCE.turns).changes;
    if (keys < AT_ONCE.keys && turns < AT_ONCE.turns) deleteSession.run(session);
    return keys + items + turns + 1;
  }
}
