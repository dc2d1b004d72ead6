/**
 * Finding the sessions that nobody has changed for long, without an index on the time of their last change, which
 * every turn of every session would have to keep. The sessions are walked in blocks instead, and of each block the
 * time of its oldest change is remembered, in this process: until that is long enough ago, the block is left out.
 * It can only be later than what is remembered, as sessions are changed, but never earlier.
 */

import type { Database } from './database.ts';
import { NOBODY } from './sessions.ts';

export interface IdleWalk {
  found: number[];
  /** Whether the walk is not over: another call goes on with it. */
  more: boolean;
  /** To be taken up once the transaction is committed. */
  remember(): void;
}

/** Sequence numbers in a block: as many short rows as are read in a fraction of a millisecond. */
const BLOCK = 512;
/** Sessions found at once: each of them will be written to. */
const FOUND_AT_ONCE = 20;

export function createSqliteIdle(database: Database) {
  const findLast = database.prepare<[sequence: number | null]>('SELECT max(sequence) FROM sessions');
  const findIdle = database.prepare<[sequence: number]>(
    `SELECT s.sequence FROM sessions s
     WHERE s.sequence BETWEEN ?1 AND ?2 AND s.updated_at < ?3 AND s.owner <> '${NOBODY}'
       AND NOT EXISTS (SELECT 1 FROM running_turns r WHERE r.session = s.sequence)
     LIMIT ?4`,
  );
  const findOldest = database.prepare<[updatedAt: number | null]>(
    `SELECT min(updated_at) FROM sessions WHERE sequence BETWEEN ?1 AND ?2 AND owner <> '${NOBODY}'`,
  );
  /** By block: no change in it is older. Blocks that have not been walked yet are missing. */
  const oldest: number[] = [];
  /** The block at which the walk goes on. */
  let place = 0;

  return { walk };

  /** Walks the next block that may hold a session unchanged since `idleBefore`, in milliseconds since the epoch. */
  function walk(idleBefore: number): IdleWalk {
    const last = Math.floor((findLast.get()?.[0] ?? 0) / BLOCK);
    const block = nextBlock(place, last, idleBefore);
    if (block > last) return { found: [], more: false, remember: () => remember(last, 0) };
    const bounds = [block * BLOCK, (block + 1) * BLOCK - 1] as const;
    const found = findIdle.all(...bounds, idleBefore, FOUND_AT_ONCE).flat();
    // There may be more in it.
    if (found.length === FOUND_AT_ONCE) return { found, more: true, remember: () => remember(last, block) };
    // What was found is about to be deleted, and what is idle and was not found has a running turn: it counts.
    const known = found.length > 0 ? undefined : (findOldest.get(...bounds)?.[0] ?? Number.POSITIVE_INFINITY);
    const next = nextBlock(block + 1, last, idleBefore);
    const more = next <= last;
    return {
      found,
      more,
      remember() {
        if (known !== undefined) oldest[block] = known;
        remember(last, more ? next : 0);
      },
    };
  }

  function nextBlock(from: number, last: number, idleBefore: number): number {
    let block = from;
    while (block <= last && (oldest[block] ?? Number.NEGATIVE_INFINITY) >= idleBefore) block += 1;
    return block;
  }

  /** New sessions, of whatever age, come into the last block or behind it, so of that nothing is known. */
  function remember(last: number, next: number): void {
    if (oldest.length > last) oldest.length = last;
    place = next;
  }
}
