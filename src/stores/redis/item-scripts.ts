/** The scripts that delete an item. They compare JSON as text, and the server cuts it: Lua's own would write it anew. */

import { script } from '../../redis/script.ts';

/**
 * The turns in whose items the text is, of some turns from one number on: for each its number, its end, input, output and
 * record; and before them the number to go on from, 0 at the end. Nothing if the session is not the owner's. What a turn
 * that runs has noted is not its output yet.
 */
export const TURNS_WITH = script(`
local session, turns = unpack(KEYS)
local owner, text, first, count = unpack(ARGV)
local values = redis.call('HMGET', session, 'owner', 'turns')
if values[1] ~= owner then return nil end
local last = tonumber(values[2])
local stop = math.min(last, tonumber(first) + tonumber(count) - 1)
local found = {}
for number = tonumber(first), stop do
  local turn = redis.call('HMGET', turns, number .. 'e', number .. 'i', number .. 'o', number .. 'r')
  local output = turn[1] and turn[3]
  if string.find(turn[2], text, 1, true) or output and string.find(output, text, 1, true) then
    found[#found + 1] = {number, turn[1], turn[2], output, turn[4]}
  end
end
return {stop < last and stop + 1 or 0, found}
`);

/**
 * Puts turns without the item in the place of those that were seen: 0, and no effect, if one is another by now. Parameters
 * after the first two: eight for each turn, its number, then end, input and output as they were seen, then these and the
 * record as they are to be. An empty text stands for what is not there.
 */
export const DELETE_ITEM = script(`
local session, turns, items = unpack(KEYS)
local owner, itemId = unpack(ARGV)
if redis.call('HGET', session, 'owner') ~= owner then return 0 end
for at = 3, #ARGV, 8 do
  local number = ARGV[at]
  local seen = redis.call('HMGET', turns, number .. 'e', number .. 'i', number .. 'o')
  -- the output of a turn without an end is what it has noted, and was not looked at
  local output = seen[1] and seen[3] or ''
  if (seen[1] or '') ~= ARGV[at + 1] or seen[2] ~= ARGV[at + 2] or output ~= ARGV[at + 3] then return 0 end
end
local changed = {}
for at = 3, #ARGV, 8 do
  local number = ARGV[at]
  changed[number] = true
  redis.call('HSET', turns, number .. 'i', ARGV[at + 5])
  if ARGV[at + 6] ~= '' then
    redis.call('HSET', turns,
      number .. 'e', ARGV[at + 4], number .. 'o', ARGV[at + 6], number .. 'r', ARGV[at + 7])
  end
end
local left = {}
for number in string.gmatch(redis.call('HGET', items, itemId) or '', '%d+') do
  if not changed[number] then left[#left + 1] = number end
end
if #left > 0 then
  redis.call('HSET', items, itemId, table.concat(left, ' '))
else
  redis.call('HDEL', items, itemId)
end
return 1
`);
