/**
 * The scripts that take in what another store has kept. What is there already stays as it is: each adds what is missing.
 */

import { script } from '../../redis/script.ts';

/**
 * Turns of a session that is still to be added. Parameters after the first: seven for each turn, its number, its id, its
 * place, its end, its items, its output and its record, then how many ids of items follow, and these.
 */
export const ADD_TURNS = script(`
local turns, items, turnIds = unpack(KEYS)
local sessionId = ARGV[1]
local at = 2
while at <= #ARGV do
  local number, id, place, ending, input, output, record, count = unpack(ARGV, at, at + 7)
  redis.call('HSET', turns, number, place, number .. 'e', ending, number .. 'i', input,
    number .. 'o', output, number .. 'r', record, '#' .. id, number)
  redis.call('ZADD', turnIds, 0, id .. ' ' .. sessionId)
  for item = at + 8, at + 7 + tonumber(count) do
    local known = redis.call('HGET', items, ARGV[item])
    redis.call('HSET', items, ARGV[item], known and (known .. ' ' .. number) or number)
  end
  at = at + 8 + tonumber(count)
end
return 1
`);

/** Parameters: three for each client, its id, its record and the time of its making. */
export const ADD_CLIENTS = script(`
local clients, clientIds, beginnings = unpack(KEYS)
for at = 1, #ARGV, 3 do
  local clientId, client, createdAt = unpack(ARGV, at, at + 2)
  if redis.call('HSETNX', clients, clientId, client) == 1 then
    redis.call('ZADD', clientIds, 0, clientId)
    redis.call('HSET', beginnings, clientId, createdAt)
  end
end
return 1
`);

/** Parameters after the first: six for each key, as SAVE_KEYS takes them. */
export const ADD_KEYS = script(`
local keys, changes, revocations, uses = unpack(KEYS)
local base = ARGV[1]
for at = 2, #ARGV, 6 do
  local keyId, clientId, key, changed, revokedAt, lastUsedAt = unpack(ARGV, at, at + 5)
  if redis.call('HSETNX', keys, keyId, key) == 1 then
    redis.call('SADD', base .. 'keys-of:' .. clientId, keyId)
    redis.call('HSET', changes, keyId, changed)
    if revokedAt ~= '' then redis.call('HSET', revocations, keyId, revokedAt) end
    if lastUsedAt ~= '' then redis.call('HSET', uses, keyId, lastUsedAt) end
  end
end
return 1
`);

/** Records that are found by their names. Parameters: a name and a text for each. */
export const ADD_RECORDS = script(`
for at = 1, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) end
return 1
`);

/** Entries of the log. Parameters: an id and a text for each. */
export const ADD_ENTRIES = script(`
local audit, auditIds = unpack(KEYS)
for at = 1, #ARGV, 2 do
  if redis.call('HSETNX', audit, ARGV[at], ARGV[at + 1]) == 1 then redis.call('ZADD', auditIds, 0, ARGV[at]) end
end
return 1
`);

/** The key of a session, unless it stands for one. Parameters: its field, what it stands for, and its expiry. */
export const ADD_SESSION_KEY = script(`
local sessionKeys, sessionKeyEnds = unpack(KEYS)
local field, entry, expiresAt = unpack(ARGV)
if redis.call('HSETNX', sessionKeys, field, entry) == 1 then redis.call('ZADD', sessionKeyEnds, expiresAt, field) end
return 1
`);
