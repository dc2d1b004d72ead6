/**
 * The scripts on sessions in their own slot. Whatever changes how a session is listed also notes it as `unlisted`, in the
 * same step and under a new revision; listing.ts says what becomes of that.
 */

import { script } from '../../redis/script.ts';
import { REVISION } from './lua-functions.ts';
import { LUA_SESSION_FIELDS } from './records.ts';

/**
 * Puts the turns of a session out of sight, for the sweep to take them out of the list of all turns a few at a time.
 * Expects `base` and `removed`.
 */
export const SHELVE = `
local function shelve(sessionId, revision)
  local turns = base .. 'session:' .. sessionId .. ':turns'
  if redis.call('EXISTS', turns) == 0 then return end
  redis.call('RENAME', turns, base .. 'removed:' .. revision)
  redis.call('ZADD', removed, 0, revision .. ' ' .. sessionId)
end
`;

/** Makes ready for a session's turns, which are written before it; nobody sees them while it is not there. */
export const STAGE_SESSION = script(`
local session, turns, items, unlisted, removed = unpack(KEYS)
local sessionId, base = unpack(ARGV)
${REVISION}${SHELVE}
if redis.call('EXISTS', session) == 1 then return redis.error_reply('ERR there is a session of this id') end
local revision = nextRevision()
shelve(sessionId, revision)
redis.call('UNLINK', items)
redis.call('ZADD', unlisted, revision, sessionId)
return 1
`);

/** Says that whoever has staged the session is still at it. Nothing if a sweep has taken its turns already. */
export const KEEP_STAGED = script(`
local unlisted = KEYS[1]
local sessionId = ARGV[1]
${REVISION}
redis.call('ZADD', unlisted, 'XX', nextRevision(), sessionId)
return 1
`);

/** Adds a session, and returns its revision. Parameters after the first four: names and values of its fields. */
export const ADD_SESSION = script(`
local session, turns, expiry, idle, unlisted, gone, sessionIds = unpack(KEYS)
local sessionId, turnCount, updatedAt, expiresAt = unpack(ARGV, 1, 4)
${REVISION}
if redis.call('EXISTS', session) == 1 then return redis.error_reply('ERR there is a session of this id') end
if turnCount ~= '0' and redis.call('HEXISTS', turns, '1') == 0 then
  return redis.error_reply('ERR its turns were swept while it was made')
end
local revision = nextRevision()
redis.call('HSET', session, 'turns', turnCount, 'revision', revision, unpack(ARGV, 5))
redis.call('ZADD', sessionIds, 0, sessionId)
redis.call('ZADD', idle, updatedAt, sessionId)
if expiresAt ~= '' then redis.call('ZADD', expiry, expiresAt, sessionId) end
redis.call('ZADD', unlisted, revision, sessionId)
redis.call('HDEL', gone, sessionId)
return revision
`);

/**
 * Changes the settings if they are still those that the change was made from: 0 if not, nothing if the session is not the
 * owner's. Returns the revision, empty if it is listed as before, and the session. Parameters after the first seven: names
 * and values of fields.
 */
export const UPDATE_SESSION = script(`
local session, expiry, idle, unlisted = unpack(KEYS)
local owner, sessionId, expected, updatedAt, expiresAt, forget, relist = unpack(ARGV, 1, 7)
${REVISION}
local values = redis.call('HMGET', session, 'owner', 'settings', 'running', 'revision')
if values[1] ~= owner then return nil end
if values[2] ~= expected then return 0 end
redis.call('HSET', session, 'updatedAt', updatedAt, unpack(ARGV, 8))
if forget == '1' then redis.call('HSET', session, 'provider', '', 'model', '') end
-- a session with a running turn is in neither list until that ends
if not values[3] then
  redis.call('ZADD', idle, updatedAt, sessionId)
  if expiresAt ~= '' then redis.call('ZADD', expiry, expiresAt, sessionId)
  else redis.call('ZREM', expiry, sessionId) end
end
local revision = ''
if relist == '1' then
  revision = nextRevision(values[4])
  redis.call('HSET', session, 'revision', revision)
  redis.call('ZADD', unlisted, revision, sessionId)
end
return {revision, redis.call('HMGET', session, ${LUA_SESSION_FIELDS})}
`);

/**
 * Removes a session with everything in it. UNLINK takes the keys away and leaves their memory to another thread, so that
 * a long conversation costs no more than a short one. Expects `base`, the names of the bucket's lists; the keys of the session are made from the bucket's name, in whose slot they lie.
 */
export const REMOVE = `${REVISION}${SHELVE}
local function remove(sessionId)
  local session = base .. 'session:' .. sessionId
  local values = redis.call('HMGET', session, 'owner', 'revision')
  local revision = nextRevision(values[2])
  shelve(sessionId, revision)
  redis.call('UNLINK', session, session .. ':items', session .. ':keys', session .. ':line', session .. ':places')
  redis.call('ZREM', sessionIds, sessionId)
  redis.call('ZREM', running, sessionId)
  redis.call('ZREM', expiry, sessionId)
  redis.call('ZREM', idle, sessionId)
  redis.call('ZADD', unlisted, revision, sessionId)
  redis.call('HSET', gone, sessionId, values[1])
  return {sessionId, values[1], revision}
end
`;

/** Removes the owner's session and returns its revision; nothing if there is none. */
export const REMOVE_SESSION = script(`
local session, running, expiry, idle, unlisted, gone, sessionIds, removed = unpack(KEYS)
local base, sessionId, owner = unpack(ARGV)
${REMOVE}
if redis.call('HGET', session, 'owner') ~= owner then return nil end
return remove(sessionId)[3]
`);
