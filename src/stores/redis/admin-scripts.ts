/** The scripts on what operators keep. Those that change something write the entry of the log in the same step. */

import { type Script, script } from '../../redis/script.ts';

/**
 * A change with its entry. The first two keys are those of the log, the first two parameters the entry's id and text; the
 * lines of the change return true if there was something to change.
 */
function change(lines: string): Script {
  return script(`
local audit, auditIds = unpack(KEYS, 1, 2)
local entryId, entry = unpack(ARGV, 1, 2)
if redis.call('HEXISTS', audit, entryId) == 1 then
  return redis.error_reply('ERR the log has an entry of this id')
end
local function apply()
${lines}
end
if not apply() then return 0 end
redis.call('HSET', audit, entryId, entry)
redis.call('ZADD', auditIds, 0, entryId)
return 1
`);
}

export const SAVE_CLIENT = change(`
  local clients, clientIds, beginnings = unpack(KEYS, 3, 5)
  local clientId, client, createdAt = unpack(ARGV, 3, 5)
  redis.call('HSET', clients, clientId, client)
  redis.call('ZADD', clientIds, 0, clientId)
  redis.call('HSETNX', beginnings, clientId, createdAt)
  return true
`);

/** The set of a client's keys is named by the client, in the slot of all the others. */
export const DELETE_CLIENT = change(`
  local clients, clientIds, beginnings, keys, changes, revocations = unpack(KEYS, 3, 8)
  local clientId, revokedAt, base = unpack(ARGV, 3, 5)
  if redis.call('HDEL', clients, clientId) == 0 then return false end
  redis.call('ZREM', clientIds, clientId)
  redis.call('HDEL', beginnings, clientId)
  for _, keyId in ipairs(redis.call('SMEMBERS', base .. 'keys-of:' .. clientId)) do
    local known = redis.call('HGET', revocations, keyId)
    if not known or tonumber(known) > tonumber(revokedAt) then
      redis.call('HSET', revocations, keyId, revokedAt)
    end
  end
  return true
`);

/** Parameters after the first three: six for each key. Of a key that is there, only what can change is written. */
export const SAVE_KEYS = change(`
  local keys, changes, revocations, uses = unpack(KEYS, 3, 6)
  local base = ARGV[3]
  for at = 4, #ARGV, 6 do
    local keyId, clientId, key, changed, revokedAt, lastUsedAt = unpack(ARGV, at, at + 5)
    if redis.call('HSETNX', keys, keyId, key) == 1 then
      redis.call('SADD', base .. 'keys-of:' .. clientId, keyId)
      if lastUsedAt ~= '' then redis.call('HSET', uses, keyId, lastUsedAt) end
    end
    redis.call('HSET', changes, keyId, changed)
    if revokedAt ~= '' then redis.call('HSET', revocations, keyId, revokedAt)
    else redis.call('HDEL', revocations, keyId) end
  end
  return true
`);

/** Of records that are read whole, such as networks: parameters are the name and the text. */
export const SAVE_RECORD = change(`
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
  return true
`);

/** Keys are those of what was accepted and of what waits; parameters three for each tool, its key and both. */
export const ADD_TOOLS = script(`
local accepted, waiting = unpack(KEYS)
for at = 1, #ARGV, 3 do
  if redis.call('HSETNX', accepted, ARGV[at], ARGV[at + 1]) == 1 and ARGV[at + 2] ~= '' then
    redis.call('HSET', waiting, ARGV[at], ARGV[at + 2])
  end
end
return 1
`);

/** Of a tool that is known; what waits begins with its fingerprint, and a space. */
export const SET_WAITING_TOOL = script(`
local accepted, waiting = unpack(KEYS)
local tool, text = unpack(ARGV)
if redis.call('HEXISTS', accepted, tool) == 0 then return 0 end
if text == '' then redis.call('HDEL', waiting, tool) else redis.call('HSET', waiting, tool, text) end
return 1
`);

/** Parameters: the tool's key, what waits as the caller has read it, and the record that takes the accepted one's place. */
export const ACCEPT_TOOL = change(`
  local accepted, waiting = unpack(KEYS, 3, 4)
  local tool, seen, record = unpack(ARGV, 3, 5)
  if redis.call('HGET', waiting, tool) ~= seen then return false end
  redis.call('HDEL', waiting, tool)
  redis.call('HSET', accepted, tool, record)
  return true
`);

export const FORGET_TOOL = change(`
  redis.call('HDEL', KEYS[4], ARGV[3])
  return redis.call('HDEL', KEYS[3], ARGV[3]) == 1
`);

/** What was accepted of each tool, and what waits. */
export const LIST_TOOLS = script(`
local found = {}
local waiting = {}
local texts = redis.call('HGETALL', KEYS[2])
for at = 1, #texts, 2 do waiting[texts[at]] = texts[at + 1] end
local accepted = redis.call('HGETALL', KEYS[1])
for at = 1, #accepted, 2 do found[#found + 1] = {accepted[at + 1], waiting[accepted[at]] or ''} end
return found
`);

/** An entry whose change is kept elsewhere, or nowhere. */
export const ADD_ENTRY = change(`
  return true
`);

export const DELETE_RECORD = change(`
  return redis.call('HDEL', KEYS[3], ARGV[3]) == 1
`);

/** All keys, four values each. */
export const LIST_KEYS = script(`
local keys, changes, revocations, uses = unpack(KEYS)
local found = {}
for _, keyId in ipairs(redis.call('HKEYS', keys)) do
  found[#found + 1] = {redis.call('HGET', keys, keyId), redis.call('HGET', changes, keyId),
    redis.call('HGET', revocations, keyId), redis.call('HGET', uses, keyId)}
end
return found
`);

/** Parameters: an id and a time for each key. */
export const NOTE_KEY_USES = script(`
local keys, _, _, uses = unpack(KEYS)
for at = 1, #ARGV, 2 do
  local keyId, usedAt = ARGV[at], ARGV[at + 1]
  if redis.call('HEXISTS', keys, keyId) == 1 then
    local known = redis.call('HGET', uses, keyId)
    if not known or tonumber(known) < tonumber(usedAt) then redis.call('HSET', uses, keyId, usedAt) end
  end
end
return 1
`);

/** Records by their ids, each with what is kept beside it under the same id. */
export const PAGE_OF_RECORDS = script(`
local records, ids, beside = unpack(KEYS)
local after, order, limit = unpack(ARGV)
local from = after ~= '' and ('(' .. after)
local page
if order == 'asc' then
  page = redis.call('ZRANGE', ids, from or '-', '+', 'BYLEX', 'LIMIT', 0, limit)
else
  page = redis.call('ZRANGE', ids, from or '+', '-', 'BYLEX', 'REV', 'LIMIT', 0, limit)
end
local found = {}
for at, id in ipairs(page) do
  found[at] = {redis.call('HGET', records, id), redis.call('HGET', beside, id)}
end
return found
`);
