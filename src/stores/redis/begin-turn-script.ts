/**
 * The script of `Store.beginTurn`: one step in one slot. Its answer begins with what has become of the turn, in the
 * words of `BeginOutcome`; turns.ts makes the outcome of it.
 */

import { script } from '../../redis/script.ts';
import { CLOCK, PATHS, REACH } from './lua-functions.ts';
import { LUA_SESSION_FIELDS } from './records.ts';

/** More microseconds than have passed since 1970 for a long time, and still a whole number in a score. */
const BEFORE_THE_EPOCH = '4e15';

/** Parameters after the ones named in the first lines: the ids of the input's items that have a place. */
export const BEGIN_TURN = script(`
local session, turns, items, keys, line, places = unpack(KEYS, 1, 6)
local running, expiry, idle, turnKeyEnds, turnIds = unpack(KEYS, 7, 11)
local owner, sessionId, turnId, parent, createdAt, input, inputPlaces = unpack(ARGV, 1, 7)
local reachPlaces, defaultPlaces, taken = unpack(ARGV, 8, 10)
local key, fingerprint, keyEnd, takesOver, mayBegin, lease, lineEnd = unpack(ARGV, 11, 17)
local FIRST_ITEM = 18
${CLOCK}${PATHS}${REACH}
local values = redis.call('HMGET', session, ${LUA_SESSION_FIELDS}, 'ttl', 'limit', 'running')
local head, updatedAt, ttl, limit, runningId = values[3], values[7], values[8], values[9], values[10]
if values[1] ~= owner then return {'missing', 'session'} end
if ttl ~= '' and tonumber(updatedAt) + tonumber(ttl) <= tonumber(createdAt) then
  return {'missing', 'session'}
end

-- a key that has been used; a turn of it that has failed is done again
local retries = false
if keyEnd ~= '' and takesOver == '' then
  local known = redis.call('HGET', keys, key)
  if known then
    local knownEnd, number, knownFingerprint = string.match(known, '^(%d+) (%d+) (.*)$')
    if tonumber(knownEnd) > tonumber(createdAt) then
      if knownFingerprint ~= fingerprint then return {'key_reused'} end
      local turn = redis.call('HMGET', turns, number, number .. 'e', number .. 'i', number .. 'o', number .. 'r')
      if not turn[2] or string.match(turn[2], '^%S+') ~= 'failed' then return {'replay', turn} end
      retries = turn
    end
  end
end

-- the line: by the microsecond in which each came, those at the front before the epoch
local now, microseconds = clock()
for _, place in ipairs(redis.call('ZRANGEBYSCORE', places, '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', places, place)
  redis.call('ZREM', line, place)
end
local function leaveLine()
  redis.call('ZREM', line, turnId)
  redis.call('ZREM', places, turnId)
end
local leaseEnd = string.format('%.0f', now + tonumber(lease))
if lineEnd ~= '' then
  local place = lineEnd == 'front' and microseconds - ${BEFORE_THE_EPOCH} or microseconds
  redis.call('ZADD', line, 'NX', string.format('%.0f', place), turnId)
  redis.call('ZADD', places, leaseEnd, turnId)
end
if runningId then return {'busy', runningId} end
local first = redis.call('ZRANGE', line, 0, 0)[1]
if mayBegin == '' or first and first ~= turnId then return {'busy'} end

-- the turn to follow: the head, none, or #id
local number = '0'
local parentId = '-'
if parent == '' then
  if head ~= '' then
    parentId = head
    number = redis.call('HGET', turns, '#' .. head)
  end
elseif parent ~= '0' then
  parentId = string.sub(parent, 2)
  number = redis.call('HGET', turns, parent)
  if not number then
    leaveLine()
    return {'missing', 'parent'}
  end
  if not endOf(number) then
    leaveLine()
    return {'unusable_parent'}
  end
end
if redis.call('HEXISTS', turns, '#' .. turnId) == 1 then
  return redis.error_reply('ERR the session has a turn of this id')
end

-- Jump pointers after Myers (1983): if the parent's last two jumps are equally long, they become one of twice the
-- length, else the jump leads to the parent. So any ancestor is reached in few steps.
local depth, before, jump = 1, 0, '0'
if number ~= '0' then
  local _, parentJump, parentDepth = placeOf(number)
  local _, parentPlaces = endOf(number)
  depth, before, jump = parentDepth + 1, parentPlaces, number
  local jumpDepth, second, secondDepth = 0, '0', 0
  if parentJump ~= '0' then
    _, second, jumpDepth = placeOf(parentJump)
    if second ~= '0' then _, _, secondDepth = placeOf(second) end
  end
  if parentDepth - jumpDepth == jumpDepth - secondDepth then jump = second end
end

-- its number only grows, and serves as the fence
local own = redis.call('HINCRBY', session, 'turns', 1)
local place = table.concat(
  {number, jump, depth, before, inputPlaces, createdAt, parentId, turnId}, ' ')
redis.call('HSET', turns, own, place, own .. 'i', input, '#' .. turnId, own)
for at = FIRST_ITEM, #ARGV do
  local known = redis.call('HGET', items, ARGV[at])
  redis.call('HSET', items, ARGV[at], known and (known .. ' ' .. own) or own)
end
redis.call('HSET', session, 'running', turnId, 'fence', own)
redis.call('ZADD', running, leaseEnd, sessionId)
redis.call('ZADD', turnIds, 0, turnId .. ' ' .. sessionId)
redis.call('ZREM', expiry, sessionId)
redis.call('ZREM', idle, sessionId)
leaveLine()
if keyEnd ~= '' then
  redis.call('HSET', keys, key, keyEnd .. ' ' .. own .. ' ' .. fingerprint)
  redis.call('ZADD', turnKeyEnds, keyEnd, sessionId .. ' ' .. key)
end
local path = reachBack(number, limit, reachPlaces, defaultPlaces, taken)
return {'begun', own, parentId, values, path, retries}
`);
