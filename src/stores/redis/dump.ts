/** Reading a whole store on Redis, a few keys at a time, while others go on. */

import type { Session } from '../../conversation/session.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { DumpSource, StoredTurn } from '../portable-dump.ts';
import type { PortableSessionKey, PortableTurnKey } from '../portable-store.ts';
import type { createRedisEverybody } from './everybody.ts';
import { type Bucket, type Keyspace, sessionKeys } from './keyspace.ts';
import type { createRedisListing } from './listing.ts';
import { type TurnValues, toSession, toStoredTurn, turnIdOf } from './records.ts';
import { LIST_TURNS } from './turn-scripts.ts';
import type { createRedisUsage } from './usage.ts';

export interface DumpParts {
  listing: ReturnType<typeof createRedisListing>;
  everybody: ReturnType<typeof createRedisEverybody>;
  usage: ReturnType<typeof createRedisUsage>;
}

/** Ids and keys that are read at once, of each bucket, and turns, each of which may be large. */
const AT_ONCE = 100;
const TURNS_AT_ONCE = 10;

export function createRedisDump(
  connection: RedisConnection,
  keyspace: Keyspace,
  { listing, everybody, usage }: DumpParts,
): DumpSource & { countSessions(): Promise<number> } {
  return { countSessions, sessions, turns, turnKeys, sessionKeys: keysOfSessions, usage: usage.all };

  async function countSessions(): Promise<number> {
    const counts = keyspace.buckets.map(({ sessionIds }) =>
      connection.send<number>(sessionIds, ['ZCARD', sessionIds]),
    );
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  /** The buckets' lists, each in its order, as one. */
  async function* sessions(): AsyncGenerator<Session> {
    const lists = await Promise.all(keyspace.buckets.map((bucket) => startOf(idsOf(bucket))));
    for (let going = lists.filter(hasNext); going.length > 0; going = going.filter(hasNext)) {
      const first = going.reduce((least, list) => (list.id < least.id ? list : least));
      const values = await listing.read(first.id);
      // It may be gone by now.
      if (values[0] !== null) yield toSession(first.id, values);
      await first.advance();
    }
  }

  async function* idsOf({ sessionIds }: Bucket): AsyncGenerator<string> {
    for (let from = '-'; ; ) {
      const range = ['ZRANGE', sessionIds, from, '+', 'BYLEX', 'LIMIT', 0, AT_ONCE];
      const ids = await connection.send<string[]>(sessionIds, range);
      yield* ids;
      if (ids.length < AT_ONCE) return;
      from = `(${ids.at(-1)}`;
    }
  }

  async function* turns({ id, owner }: Session): AsyncGenerator<StoredTurn> {
    const keys = sessionKeys(keyspace.bucketOf(id), id);
    for (let after = ''; ; ) {
      const parameters = [owner, after, 'asc', TURNS_AT_ONCE];
      const found = await connection.run<TurnValues[] | 0 | null>(
        LIST_TURNS,
        [keys.session, keys.turns],
        parameters,
      );
      if (found === null || found === 0) return;
      for (const values of found) {
        const turn = toStoredTurn(id, values);
        yield turn;
        after = turn.id;
      }
      if (found.length < TURNS_AT_ONCE) return;
    }
  }

  async function* turnKeys({ id }: Session, now: number): AsyncGenerator<PortableTurnKey> {
    const keys = sessionKeys(keyspace.bucketOf(id), id);
    for await (const [value, entry] of entriesOf(keys.keys)) {
      const [expiresAt, number, fingerprint] = parseEntry(entry);
      if (expiresAt <= now) continue;
      const place = await connection.send<string | null>(keys.turns, ['HGET', keys.turns, number]);
      // Gone with its session in the meantime.
      if (place === null) return;
      yield { sessionId: id, turnId: turnIdOf(place), value, fingerprint, expiresAt };
    }
  }

  async function* keysOfSessions(now: number): AsyncGenerator<PortableSessionKey> {
    for (const bucket of keyspace.buckets) {
      for await (const [field, entry] of entriesOf(bucket.sessionKeys)) {
        const [owner, value] = JSON.parse(field) as [owner: string, key: string];
        const [expiresAt, sessionId, fingerprint] = parseEntry(entry);
        // A key is forgotten with its session, though it may still be there.
        if (expiresAt <= now || (await everybody.ownerOf(sessionId)) !== owner) continue;
        yield { owner, sessionId, value, fingerprint, expiresAt };
      }
    }
  }

  /** Names and values of a hash. One that changes meanwhile may give some of them twice. */
  async function* entriesOf(key: string): AsyncGenerator<[name: string, value: string]> {
    for (let cursor = '0'; ; ) {
      const command = ['HSCAN', key, cursor, 'COUNT', AT_ONCE];
      const [next, entries] = await connection.send<[string, string[]]>(key, command);
      for (let at = 0; at < entries.length; at += 2) yield [entries[at] ?? '', entries[at + 1] ?? ''];
      if (next === '0') return;
      cursor = next;
    }
  }
}

/** An expiry, what the key stands for, and the fingerprint. */
function parseEntry(entry: string): [expiresAt: number, meaning: string, fingerprint: string] {
  const [expiresAt, meaning = '', ...fingerprint] = entry.split(' ');
  return [Number(expiresAt), meaning, fingerprint.join(' ')];
}

/** A list with its next id in hand, null at its end. */
interface IdList<Id = string | null> {
  id: Id;
  advance(): Promise<void>;
}

async function startOf(ids: AsyncGenerator<string>): Promise<IdList> {
  const list: IdList = { id: null, advance };
  await advance();
  return list;

  async function advance(): Promise<void> {
    const next = await ids.next();
    list.id = next.done === true ? null : next.value;
  }
}

function hasNext(list: IdList): list is IdList<string> {
  return list.id !== null;
}
