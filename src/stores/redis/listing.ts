/**
 * The lists of an owner's sessions: all of them, and those with each pair of metadata. They lie in the owner's slot and
 * the sessions in their own, so that a change of both cannot be one step on a cluster. The order is: first the session,
 * which is noted as `unlisted` in the same step; then the lists; then the note is taken away. A crash between any two
 * leaves the note, and the sweep lists the session as it then is. A list that is behind shows nothing wrong meanwhile:
 * what it names is looked at before it is shown.
 *
 * Two changes of one session may reach the lists in any order. The revision decides: an older one changes nothing.
 */

import type { Page } from '../../conversation/page.ts';
import type { Session } from '../../conversation/session.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import { script } from '../../redis/script.ts';
import type { SessionQuery } from '../store.ts';
import { type Keyspace, sessionKeys } from './keyspace.ts';
import { SESSION_FIELDS, type SessionValues, toSession } from './records.ts';

/**
 * Puts a session into the lists of its owner, or takes it out. Parameters after the first four: the session's pairs. The
 * keys of the lists are made from the owner's name, in whose slot they lie. Without a revision it is now, by the clock of
 * this server.
 */
const LIST_SESSION = script(`
local sessions, listed = unpack(KEYS)
local pairsKey, sessionId, revision, isThere = unpack(ARGV, 1, 4)
if revision == '' then
  local time = redis.call('TIME')
  revision = string.format('%.0f', time[1] * 1000000 + time[2])
end
local record = redis.call('HGET', listed, sessionId)
if record and tonumber(string.match(record, '^%d+')) >= tonumber(revision) then return 0 end
if record then
  for pair in string.gmatch(record, '\\n([^\\n]+)') do redis.call('ZREM', pairsKey .. pair, sessionId) end
end
if isThere == '0' then
  redis.call('ZREM', sessions, sessionId)
  redis.call('HDEL', listed, sessionId)
  return 1
end
redis.call('ZADD', sessions, 0, sessionId)
for at = 5, #ARGV do
  redis.call('ZADD', pairsKey .. ARGV[at], 0, sessionId)
  revision = revision .. '\\n' .. ARGV[at]
end
-- most sessions have no pairs and never had: the list itself is enough to know of them
if record or #ARGV > 4 then redis.call('HSET', listed, sessionId, revision) end
return 1
`);

/** Takes the note away, unless a later change has renewed it; the session is not provisional any more. */
const SETTLE = script(`
local session, unlisted, gone = unpack(KEYS)
local sessionId, revision = unpack(ARGV)
local noted = redis.call('ZSCORE', unlisted, sessionId)
if not noted or tonumber(noted) ~= tonumber(revision) then return 0 end
redis.call('ZREM', unlisted, sessionId)
redis.call('HDEL', gone, sessionId)
redis.call('HDEL', session, 'claim')
return 1
`);

/**
 * Ids that are in all of the lists, in their order, from the cursor on: as many as wanted, or those found after a bounded
 * walk over the shortest list. Returns them with the last id that was looked at, empty at the end of the list.
 */
const PAGE_OF_IDS = script(`
local after, order, wanted, block, blocks = unpack(ARGV)
wanted, block = tonumber(wanted), tonumber(block)
local shortest, length = 1, math.huge
for at, key in ipairs(KEYS) do
  local count = redis.call('ZCARD', key)
  if count < length then shortest, length = at, count end
end
local from, to = '-', '+'
if order == 'desc' then from, to = '+', '-' end
if after ~= '' then from = '(' .. after end
local found = {}
for _ = 1, tonumber(blocks) do
  local ids
  if order == 'desc' then
    ids = redis.call('ZRANGE', KEYS[shortest], from, to, 'BYLEX', 'REV', 'LIMIT', 0, block)
  else
    ids = redis.call('ZRANGE', KEYS[shortest], from, to, 'BYLEX', 'LIMIT', 0, block)
  end
  for _, id in ipairs(ids) do
    local isInAll = true
    for at, key in ipairs(KEYS) do
      if at ~= shortest and not redis.call('ZSCORE', key, id) then isInAll = false end
    end
    if isInAll then found[#found + 1] = id end
    if #found == wanted then return {found, id} end
  end
  if #ids < block then return {found, ''} end
  from = '(' .. ids[#ids]
end
return {found, string.sub(from, 2)}
`);

/** Ids that one script looks at, in blocks: well under a millisecond. */
const BLOCK = 100;
const BLOCKS = 10;

/** A session as it is to be listed; without `session`, as one that is not there any more. */
export interface Listing {
  owner: string;
  sessionId: string;
  session: Pick<Session, 'metadata'> | null;
  revision: string;
}

export function createRedisListing(connection: RedisConnection, keyspace: Keyspace) {
  return { list, listNoted, settle, page, find, read };

  /** Brings the lists up to date, and takes the note away; if that fails, the sweep does both again. */
  async function list(listing: Listing): Promise<void> {
    await listAs(listing);
    await settle(listing.sessionId, listing.revision);
  }

  /** Lists the session if its note says that it is not listed as it is: whoever made it may have died before that. */
  async function listNoted(owner: string, sessionId: string): Promise<void> {
    const { unlisted } = keyspace.bucketOf(sessionId);
    const revision = await connection.send<string | null>(unlisted, ['ZSCORE', unlisted, sessionId]);
    if (revision === null) return;
    // Read after its note, so that it is not older than that.
    const session = await find(owner, sessionId);
    if (session !== null) await list({ owner, sessionId, session, revision });
  }

  async function listAs({ owner, sessionId, session, revision }: Listing): Promise<void> {
    const { sessions, listed, pairs } = keyspace.ownerKeys(owner);
    const pairTexts = session === null ? [] : Object.entries(session.metadata).map(pairText);
    const parameters = [pairs, sessionId, revision, session === null ? 0 : 1, ...pairTexts];
    await connection.run(LIST_SESSION, [sessions, listed], parameters);
  }

  /** Everything that was asked for is done; should this fail, the sweep finds nothing left to do. */
  async function settle(sessionId: string, revision: string): Promise<void> {
    const bucket = keyspace.bucketOf(sessionId);
    const { session } = sessionKeys(bucket, sessionId);
    const settled = connection.run(SETTLE, [session, bucket.unlisted, bucket.gone], [sessionId, revision]);
    await settled.catch(() => undefined);
  }

  async function page(query: SessionQuery): Promise<Page<Session>> {
    const { owner, limit, order } = query;
    const pairs = Object.entries(query.metadata);
    const { sessions, pairs: pairsKey } = keyspace.ownerKeys(owner);
    const lists = pairs.length === 0 ? [sessions] : pairs.map((pair) => pairsKey + pairText(pair));
    const found: Session[] = [];
    // One session more tells whether there is another page.
    for (let after = query.after ?? '', isOver = false; !isOver && found.length <= limit; ) {
      const parameters = [after, order, limit + 1 - found.length, BLOCK, BLOCKS];
      const [ids, last] = await connection.run<[string[], string]>(PAGE_OF_IDS, lists, parameters);
      const looked = await Promise.all(ids.map((id) => look(owner, id)));
      for (const session of looked) {
        if (session !== null && pairs.every(([name, value]) => session.metadata[name] === value)) {
          found.push(session);
        }
      }
      after = last;
      isOver = last === '';
    }
    return { data: found.slice(0, limit), hasMore: found.length > limit };
  }

  /** The session, which is taken off the list if it is gone: whoever deleted it did not come to that. */
  async function look(owner: string, sessionId: string): Promise<Session | null> {
    const session = await find(owner, sessionId);
    if (session === null) await listAs({ owner, sessionId, session: null, revision: '' });
    return session;
  }

  async function find(owner: string, sessionId: string): Promise<Session | null> {
    const values = await read(sessionId);
    return values[0] === owner ? toSession(sessionId, values) : null;
  }

  /** The values of a session, whoever owns it; all of them null if there is none. */
  function read(sessionId: string): Promise<SessionValues> {
    const { session } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    return connection.send(session, ['HMGET', session, ...SESSION_FIELDS]);
  }
}

/** One line for each pair, whatever is in it. */
function pairText(pair: readonly [string, string]): string {
  return JSON.stringify(pair);
}
