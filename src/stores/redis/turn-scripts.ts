/** The scripts on turns that have begun: their end, by commit or failure, their leases, and reading them. */

import { script } from '../../redis/script.ts';
import { CLOCK, PATHS } from './lua-functions.ts';

/**
 * Lets go of a session whose turn is over: it expires, and is idle, as of its last change. Expects `running`, `expiry`
 * and `idle`.
 */
const RELEASE = `
local function release(session, sessionId, updatedAt, ttl)
  redis.call('HDEL', session, 'running', 'fence', 'cancelled')
  redis.call('ZREM', running, sessionId)
  redis.call('ZADD', idle, updatedAt, sessionId)
  if ttl ~= '' then
    redis.call('ZADD', expiry, string.format('%.0f', tonumber(updatedAt) + tonumber(ttl)), sessionId)
  end
end
`;

/** The script of `Store.commitTurn`; 0 if the turn does not hold the session under this fence. */
export const COMMIT_TURN = script(`
local session, turns, items, running, expiry, idle = unpack(KEYS)
local sessionId, turnId, fence, status, joined, completedAt = unpack(ARGV, 1, 6)
local outputPlaces, output, record, provider, model = unpack(ARGV, 7, 11)
local FIRST_ITEM = 12
${PATHS}${RELEASE}
local values = redis.call('HMGET', session, 'running', 'fence', 'updatedAt', 'ttl')
if values[1] ~= turnId or values[2] ~= fence then return 0 end
local _, _, _, before, inputPlaces = placeOf(fence)
local places = before + inputPlaces + tonumber(outputPlaces)
redis.call('HSET', turns,
  fence .. 'e', table.concat({status, joined, places, completedAt}, ' '),
  fence .. 'o', output, fence .. 'r', record)
for at = FIRST_ITEM, #ARGV do
  local known = redis.call('HGET', items, ARGV[at])
  redis.call('HSET', items, ARGV[at], known and (known .. ' ' .. fence) or fence)
end
local updatedAt = values[3]
if joined == '1' then
  updatedAt = completedAt
  redis.call('HSET', session,
    'head', turnId, 'updatedAt', updatedAt, 'provider', provider, 'model', model)
end
release(session, sessionId, updatedAt, values[4])
return 1
`);

/** The script of `Store.noteCalls`: where the output will be; 0 if the turn does not hold the session under this fence. */
export const NOTE_CALLS = script(`
local session, turns = unpack(KEYS)
local turnId, fence, calls = unpack(ARGV)
local values = redis.call('HMGET', session, 'running', 'fence')
if values[1] ~= turnId or values[2] ~= fence then return 0 end
redis.call('HSET', turns, fence .. 'o', calls)
return 1
`);

/**
 * Fails the turns of a bucket whose lease is over, a limited number; returns how many there were. The keys of the
 * sessions are made from the bucket's name, in whose slot they lie.
 */
export const FAIL_TURNS = script(`
local running, expiry, idle = unpack(KEYS)
local base, limit, completedAt, record = unpack(ARGV)
${CLOCK}${RELEASE}
local over = redis.call('ZRANGEBYSCORE', running, '-inf', string.format('%.0f', clock()), 'LIMIT', 0, limit)
for _, sessionId in ipairs(over) do
  local session = base .. 'session:' .. sessionId
  local fence, updatedAt, ttl = unpack(redis.call('HMGET', session, 'fence', 'updatedAt', 'ttl'))
  redis.call('HSET', session .. ':turns',
    fence .. 'e', table.concat({'failed', '0', '0', completedAt}, ' '), fence .. 'r', record)
  release(session, sessionId, updatedAt, ttl)
end
return #over
`);

/**
 * Makes the leases and places of a bucket longer. Parameters after the first two: three for each, the session, the turn,
 * and the fence, or a dash for a place. Returns which of them are not there, and which were asked to end, counted from 0.
 */
export const RENEW = script(`
local running = KEYS[1]
local base, lease = ARGV[1], tonumber(ARGV[2])
${CLOCK}
local now = clock()
local leaseEnd = string.format('%.0f', now + lease)
local missing, cancelled = {}, {}
for at = 3, #ARGV, 3 do
  local sessionId, turnId, fence = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local session = base .. 'session:' .. sessionId
  local found = false
  if fence ~= '-' then
    local values = redis.call('HMGET', session, 'running', 'fence', 'cancelled')
    found = values[1] == turnId and values[2] == fence
    if found then redis.call('ZADD', running, leaseEnd, sessionId) end
    if found and values[3] then cancelled[#cancelled + 1] = (at - 3) / 3 end
  else
    local placeEnd = redis.call('ZSCORE', session .. ':places', turnId)
    found = placeEnd and tonumber(placeEnd) > now
    if found then redis.call('ZADD', session .. ':places', leaseEnd, turnId) end
  end
  if not found then missing[#missing + 1] = (at - 3) / 3 end
end
return {missing, cancelled}
`);

/** Asks for the end of a turn, if it is the owner's and the one that runs. */
export const CANCEL_TURN = script(`
local session = KEYS[1]
local owner, turnId = unpack(ARGV)
local values = redis.call('HMGET', session, 'owner', 'running')
if values[1] == owner and values[2] == turnId then redis.call('HSET', session, 'cancelled', '1') end
return 1
`);

/** A turn's values; nothing if the session is not the owner's or has no such turn. */
export const GET_TURN = script(`
local session, turns = unpack(KEYS)
local owner, turnId = unpack(ARGV)
if redis.call('HGET', session, 'owner') ~= owner then return nil end
local number = redis.call('HGET', turns, '#' .. turnId)
if not number then return nil end
return redis.call('HMGET', turns, number, number .. 'e', number .. 'i', number .. 'o', number .. 'r')
`);

/** The values of some turns in the order of their numbers; nothing if the session is not the owner's, 0 for no cursor. */
export const LIST_TURNS = script(`
local session, turns = unpack(KEYS)
local owner, after, order, limit = unpack(ARGV)
local values = redis.call('HMGET', session, 'owner', 'turns')
if values[1] ~= owner then return nil end
local last = tonumber(values[2])
local step = order == 'asc' and 1 or -1
local number = order == 'asc' and 1 or last
if after ~= '' then
  local cursor = redis.call('HGET', turns, '#' .. after)
  if not cursor then return 0 end
  number = tonumber(cursor) + step
end
local found = {}
while number >= 1 and number <= last and #found < tonumber(limit) do
  found[#found + 1] = redis.call('HMGET', turns,
    number, number .. 'e', number .. 'i', number .. 'o', number .. 'r')
  number = number + step
end
return found
`);
