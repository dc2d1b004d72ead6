/**
 * What operators see of the sessions and turns of all owners, on Redis. Each bucket has its own ids in order; a page is
 * the first of all of them. The lists may name what is gone, for what they name is looked at before it is shown.
 */

import { firstIdAt } from '../../conversation/id.ts';
import type { PageRequest, SearchedPage } from '../../conversation/page.ts';
import type { Session } from '../../conversation/session.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import { script } from '../../redis/script.ts';
import type { TurnQuery } from '../admin-store.ts';
import { type Bucket, type Keyspace, sessionKeys } from './keyspace.ts';
import { SESSION_FIELDS, type SessionValues, type SummaryValues, toSession, toSummary } from './records.ts';

/** An id is drawn before its turn's time is taken, which a busy server does a moment later. */
const ID_LEAD_MILLISECONDS = 1000;
/** Elements that one search looks at, so many at once. */
const LOOKED_AT = 500;
const AT_ONCE = 50;

/** The owner and the turn's values; nothing if there is no such turn. */
const GET_SUMMARY = script(`
local session, turns = unpack(KEYS)
local number = redis.call('HGET', turns, '#' .. ARGV[1])
local owner = redis.call('HGET', session, 'owner')
if not number or not owner then return nil end
return {owner, redis.call('HMGET', turns, number, number .. 'e', number .. 'r')}
`);

/** Turns of a session before the one of that id, newest first: the owner, then the values of each. */
const SESSION_SUMMARIES = script(`
local session, turns = unpack(KEYS)
local after, count = unpack(ARGV)
local owner, last = unpack(redis.call('HMGET', session, 'owner', 'turns'))
if not owner then return {'', {}} end
local number = tonumber(last)
if after ~= '' then number = tonumber(redis.call('HGET', turns, '#' .. after) or 1) - 1 end
local found = {}
while number >= 1 and #found < tonumber(count) do
  found[#found + 1] = redis.call('HMGET', turns, number, number .. 'e', number .. 'r')
  number = number - 1
end
return {owner, found}
`);

/** What is looked at: with its id, and null if it is not there. */
interface Looked<Element> {
  id: string;
  element: Element | null;
}

export function createRedisEverybody(connection: RedisConnection, keyspace: Keyspace) {
  return { ownerOf, sessions, turns, turn };

  async function ownerOf(sessionId: string): Promise<string | null> {
    const { session } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    return connection.send<string | null>(session, ['HGET', session, 'owner']);
  }

  function sessions({ limit, after, order }: PageRequest): Promise<SearchedPage<Session>> {
    const read = async (last: string | null): Promise<Looked<Session>[]> => {
      const from = last === null ? null : `(${last}`;
      const ids = await firstOfAll(({ sessionIds }) => sessionIds, { from, to: null, order });
      return Promise.all(ids.map(async (id) => ({ id, element: await findSession(id) })));
    };
    return search(limit, after, read, () => true);
  }

  function turns(query: TurnQuery): Promise<SearchedPage<TurnSummary>> {
    const { limit, after, sessionId, since } = query;
    const firstId = since === null ? '' : firstIdAt(since - ID_LEAD_MILLISECONDS);
    const read = (last: string | null) =>
      sessionId === null ? turnsOfAll(last, firstId) : turnsOfSession(sessionId, last, firstId);
    return search(limit, after, read, (summary) => isWanted(summary, query));
  }

  async function turn(turnId: string): Promise<TurnSummary | null> {
    // Nobody says which session it is in; a session that is removed may still be named.
    const range = { from: `[${turnId} `, to: `(${turnId}!`, order: 'asc' } as const;
    const entries = await firstOfAll(({ turnIds }) => turnIds, range);
    const found = await Promise.all(entries.map(findSummary));
    return found.find((summary) => summary !== null) ?? null;
  }

  async function turnsOfAll(last: string | null, firstId: string): Promise<Looked<TurnSummary>[]> {
    // Up to, and without, whatever begins with the cursor and the blank that ends an id.
    const from = last === null ? null : `(${last} `;
    const range = { from, to: firstId === '' ? null : `[${firstId}`, order: 'desc' } as const;
    const entries = await firstOfAll(({ turnIds }) => turnIds, range);
    return Promise.all(
      entries.map(async (entry) => ({ id: turnIdOf(entry), element: await findSummary(entry) })),
    );
  }

  async function turnsOfSession(
    sessionId: string,
    last: string | null,
    firstId: string,
  ): Promise<Looked<TurnSummary>[]> {
    const { session, turns: turnsKey } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const [owner, values] = await connection.run<[string, SummaryValues[]]>(
      SESSION_SUMMARIES,
      [session, turnsKey],
      [last ?? '', AT_ONCE],
    );
    const found = values.map((one) => toSummary(owner, sessionId, one));
    // Within a session the order of beginning is that of the ids: those after the first older one are older.
    const older = found.findIndex(({ id }) => id < firstId);
    const young = older === -1 ? found : found.slice(0, older);
    return young.map((element) => ({ id: element.id, element }));
  }

  async function findSession(id: string): Promise<Session | null> {
    const { session } = sessionKeys(keyspace.bucketOf(id), id);
    const values = await connection.send<SessionValues>(session, ['HMGET', session, ...SESSION_FIELDS]);
    return values[0] === null ? null : toSession(id, values);
  }

  async function findSummary(entry: string): Promise<TurnSummary | null> {
    const turnId = turnIdOf(entry);
    const sessionId = entry.slice(turnId.length + 1);
    const { session, turns: turnsKey } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const found = await connection.run<[owner: string, SummaryValues] | null>(
      GET_SUMMARY,
      [session, turnsKey],
      [turnId],
    );
    return found && toSummary(found[0], sessionId, found[1]);
  }

  /** The first of a range in the lists of all buckets. Every bucket is asked for as many, for all may be in one. */
  async function firstOfAll(
    listOf: (bucket: Bucket) => string,
    { from, to, order }: { from: string | null; to: string | null; order: 'asc' | 'desc' },
  ): Promise<string[]> {
    const isUp = order === 'asc';
    const edges = [from ?? (isUp ? '-' : '+'), to ?? (isUp ? '+' : '-')];
    const range = [...edges, 'BYLEX', ...(isUp ? [] : ['REV']), 'LIMIT', 0, AT_ONCE];
    const lists = await Promise.all(
      keyspace.buckets.map((bucket) =>
        connection.send<string[]>(listOf(bucket), ['ZRANGE', listOf(bucket), ...range]),
      ),
    );
    const sorted = lists.flat().sort((one, other) => (one < other ? -1 : 1));
    if (!isUp) sorted.reverse();
    return sorted.slice(0, AT_ONCE);
  }
}

/** Looks on until enough is found, there is nothing more, or much was looked at. */
async function search<Element>(
  limit: number,
  after: string | null,
  read: (last: string | null) => Promise<Looked<Element>[]>,
  isWanted: (element: Element) => boolean,
): Promise<SearchedPage<Element>> {
  const data: Element[] = [];
  let lastId = after;
  for (let looked = 0; looked < LOOKED_AT; looked += AT_ONCE) {
    const found = await read(lastId);
    for (const { id, element } of found) {
      if (data.length === limit) return { data, hasMore: true, lastId };
      lastId = id;
      if (element !== null && isWanted(element)) data.push(element);
    }
    if (found.length < AT_ONCE) return { data, hasMore: false, lastId };
  }
  return { data, hasMore: true, lastId };
}

function isWanted(summary: TurnSummary, { owner, status, since, provider }: TurnQuery): boolean {
  if (owner !== null && summary.owner !== owner) return false;
  if (status !== null && summary.status !== status) return false;
  if (since !== null && summary.createdAt < since) return false;
  return provider === null || summary.provider === provider;
}

function turnIdOf(entry: string): string {
  return entry.slice(0, entry.indexOf(' '));
}
