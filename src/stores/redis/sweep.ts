/**
 * Removing what nobody can want any more on Redis, and finishing what a crash has left half done. Each bucket is one
 * script that removes at most one session and a few keys; what it reads is found by time, and nothing walks the keys of
 * the server. Several servers may sweep at the same time.
 */

import type { RedisConnection } from '../../redis/connection.ts';
import { script } from '../../redis/script.ts';
import { type Bucket, type Keyspace, sessionKeys } from './keyspace.ts';
import type { createRedisListing } from './listing.ts';
import { SESSION_FIELDS, type SessionValues, toSession } from './records.ts';
import { REMOVE, SHELVE } from './session-scripts.ts';
import type { createRedisSessions } from './sessions.ts';

/** Keys that have expired, of each bucket at once. */
const KEYS_AT_ONCE = 50;
/** Turns of a removed session that leave the list of all turns, in each bucket at once. */
const TURNS_AT_ONCE = 100;
/** Sessions that were left unlisted, of each bucket at once. */
const UNLISTED_AT_ONCE = 10;
/** Seconds after which whoever makes, changes or deletes a session is taken to have died in the middle of it. */
const ABANDONED_AFTER = 60;

const SWEEP = script(`
local running, expiry, idle, turnKeyEnds, sessionKeys, sessionKeyEnds = unpack(KEYS, 1, 6)
local unlisted, gone, sessionIds, turnIds, removed = unpack(KEYS, 7, 11)
local base, now, idleBefore, keyLimit, turnLimit, unlistedLimit, abandonedAfter = unpack(ARGV)
${REMOVE}
local more = 0
local over = redis.call('ZRANGEBYSCORE', turnKeyEnds, '-inf', now, 'LIMIT', 0, keyLimit)
if #over == tonumber(keyLimit) then more = 1 end
for _, member in ipairs(over) do
  local sessionId, key = string.match(member, '^(%S+) (.*)$')
  local keys = base .. 'session:' .. sessionId .. ':keys'
  -- the same key may stand for another turn since, of another session of this id even
  local entry = redis.call('HGET', keys, key)
  if entry and tonumber(string.match(entry, '^%d+')) <= tonumber(now) then redis.call('HDEL', keys, key) end
  redis.call('ZREM', turnKeyEnds, member)
end
over = redis.call('ZRANGEBYSCORE', sessionKeyEnds, '-inf', now, 'LIMIT', 0, keyLimit)
if #over == tonumber(keyLimit) then more = 1 end
for _, field in ipairs(over) do
  redis.call('HDEL', sessionKeys, field)
  redis.call('ZREM', sessionKeyEnds, field)
end

local function next()
  local found = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 1)[1]
  if not found and idleBefore ~= '' then
    found = redis.call('ZRANGEBYSCORE', idle, '-inf', '(' .. idleBefore, 'LIMIT', 0, 1)[1]
  end
  return found
end
local swept = {}
local sessionId = next()
if sessionId then
  swept = remove(sessionId)
  if next() then more = 1 end
end

-- turns of a session that is gone leave the list of all turns
local entry = redis.call('ZRANGE', removed, 0, 0)[1]
if entry then
  local revision, goneId = string.match(entry, '^(%S+) (.*)$')
  local turns = base .. 'removed:' .. revision
  local first = tonumber(redis.call('HGET', turns, 'swept') or 0) + 1
  local last = first + tonumber(turnLimit) - 1
  local number = first
  while number <= last do
    local place = redis.call('HGET', turns, number)
    if not place then break end
    redis.call('ZREM', turnIds, string.match(place, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ (.*)$') .. ' ' .. goneId)
    number = number + 1
  end
  if number > last then
    redis.call('HSET', turns, 'swept', last)
  else
    redis.call('UNLINK', turns)
    redis.call('ZREM', removed, entry)
  end
  if redis.call('EXISTS', removed) == 1 then more = 1 end
end

local time = redis.call('TIME')
local abandoned = redis.call('ZRANGEBYSCORE', unlisted, '-inf',
  string.format('%.0f', (time[1] - tonumber(abandonedAfter)) * 1000000 + time[2]),
  'WITHSCORES', 'LIMIT', 0, unlistedLimit)
return {more, swept, abandoned}
`);

/** Puts out of sight the turns that were written for a session that nobody came to make, and has not said since that he will. */
const SHELVE_TURNS = script(`
local items, removed, unlisted = unpack(KEYS)
local base, sessionId, revision = unpack(ARGV)
${SHELVE}
local noted = redis.call('ZSCORE', unlisted, sessionId)
if not noted or tonumber(noted) ~= tonumber(revision) then return 0 end
shelve(sessionId, revision)
redis.call('UNLINK', items)
return 1
`);

type SweepReply = [
  more: 0 | 1,
  removed: [] | [sessionId: string, owner: string, revision: string],
  abandoned: string[],
];

export function createRedisSweep(
  connection: RedisConnection,
  keyspace: Keyspace,
  listing: ReturnType<typeof createRedisListing>,
  sessions: ReturnType<typeof createRedisSessions>,
  abandonedAfterSeconds = ABANDONED_AFTER,
) {
  return { sweep };

  /** One batch, as `Store.sweep` says. */
  async function sweep(now: number, idleBefore: number | null): Promise<{ sessions: number; more: boolean }> {
    const swept = await Promise.all(keyspace.buckets.map((bucket) => sweepBucket(bucket, now, idleBefore)));
    return {
      sessions: swept.filter(({ removed }) => removed).length,
      more: swept.some(({ more }) => more),
    };
  }

  async function sweepBucket(bucket: Bucket, now: number, idleBefore: number | null) {
    const { running, expiry, idle, turnKeyEnds, unlisted, gone, sessionIds, turnIds } = bucket;
    const [more, removed, abandoned] = await connection.run<SweepReply>(
      SWEEP,
      [
        running,
        expiry,
        idle,
        turnKeyEnds,
        bucket.sessionKeys,
        bucket.sessionKeyEnds,
        unlisted,
        gone,
        sessionIds,
        turnIds,
        bucket.removed,
      ],
      [
        bucket.base,
        now,
        idleBefore ?? '',
        KEYS_AT_ONCE,
        TURNS_AT_ONCE,
        UNLISTED_AT_ONCE,
        abandonedAfterSeconds,
      ],
    );
    const [sessionId, owner, revision] = removed;
    if (sessionId !== undefined && owner !== undefined && revision !== undefined) {
      await listing.list({ owner, sessionId, session: null, revision });
    }
    for (let at = 0; at < abandoned.length; at += 2) {
      await finish(bucket, abandoned[at] ?? '', abandoned[at + 1] ?? '');
    }
    return { removed: sessionId !== undefined, more: more === 1 };
  }

  /** Finishes the making, changing or deleting of a session, from how far it has come. */
  async function finish(bucket: Bucket, sessionId: string, revision: string): Promise<void> {
    const { session: key, items } = sessionKeys(bucket, sessionId);
    const fields = ['HMGET', key, ...SESSION_FIELDS, 'claim'];
    const values = await connection.send<[...SessionValues, claim: string | null]>(key, fields);
    const claim = values.pop() ?? null;
    const session = values[0] === null ? null : toSession(sessionId, values as unknown as SessionValues);
    if (session !== null && claim !== null && !(await isMadeBy(claim, sessionId))) {
      return sessions.discard(session.owner, sessionId);
    }
    const owner =
      session?.owner ?? (await connection.send<string | null>(bucket.gone, ['HGET', bucket.gone, sessionId]));
    if (owner !== null) return listing.list({ owner, sessionId, session, revision });
    // Turns for a session that nobody came to make.
    const keys = [items, bucket.removed, bucket.unlisted];
    await connection.run(SHELVE_TURNS, keys, [bucket.base, sessionId, revision]);
    await listing.settle(sessionId, revision);
  }

  /** Whether the key under which the session was made stands for it, and for no other that was quicker. */
  async function isMadeBy(field: string, sessionId: string): Promise<boolean> {
    const bucket = keyspace.bucketOf(field);
    const entry = await connection.send<string | null>(bucket.sessionKeys, [
      'HGET',
      bucket.sessionKeys,
      field,
    ]);
    return entry?.split(' ')[1] === sessionId;
  }
}
