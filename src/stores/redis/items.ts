/** Deleting items on Redis: found some turns at a time, and taken out of all of them in one step. */

import type { RedisConnection } from '../../redis/connection.ts';
import { turnWithoutItem } from '../turn-without-item.ts';
import { DELETE_ITEM, TURNS_WITH } from './item-scripts.ts';
import { type Keyspace, sessionKeys } from './keyspace.ts';
import { statusOf, withStatus } from './records.ts';

/** Turns that one script looks through: a long conversation must not keep everybody waiting. */
const TURNS_AT_ONCE = 200;

type FoundTurn = [
  number: number,
  end: string | null,
  input: string,
  output: string | null,
  record: string | null,
];

export function createRedisItems(connection: RedisConnection, keyspace: Keyspace) {
  return { remove };

  /** Looks, and deletes if nobody has changed the turns in between; whoever has, made progress. */
  async function remove(owner: string, sessionId: string, itemId: string): Promise<boolean> {
    const { session, turns, items } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    for (;;) {
      const found = await turnsWith(owner, sessionId, JSON.stringify(itemId));
      const changes = found.flatMap((turn) => withoutItem(turn, itemId));
      if (changes.length === 0) return false;
      const parameters = [owner, itemId, ...changes];
      const deleted = await connection.run<0 | 1>(DELETE_ITEM, [session, turns, items], parameters);
      if (deleted === 1) return true;
    }
  }

  async function turnsWith(owner: string, sessionId: string, text: string): Promise<FoundTurn[]> {
    const { session, turns } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const all: FoundTurn[] = [];
    for (let first = 1; first !== 0; ) {
      const parameters = [owner, text, first, TURNS_AT_ONCE];
      const reply = await connection.run<[next: number, FoundTurn[]] | null>(
        TURNS_WITH,
        [session, turns],
        parameters,
      );
      if (reply === null) return [];
      first = reply[0];
      all.push(...reply[1]);
    }
    return all;
  }
}

/** The parameters of `DELETE_ITEM` for that turn; none if it only speaks of the item. */
function withoutItem([number, end, input, output, record]: FoundTurn, itemId: string): (number | string)[] {
  const left = turnWithoutItem({ status: statusOf(end), input, output, record }, itemId);
  if (left === null) return [];
  const newEnd = end === null ? '' : withStatus(end, left.status);
  return [number, end ?? '', input, output ?? '', newEnd, left.input, left.output ?? '', left.record ?? ''];
}
