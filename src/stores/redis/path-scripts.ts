/** The scripts that read paths. Every path is read from its newest turn back, and only as far as asked. */

import { script } from '../../redis/script.ts';
import { PATHS, REACH } from './lua-functions.ts';
import { LUA_SESSION_FIELDS } from './records.ts';

/** The session's values and the path's; nothing if the session is not the owner's. An empty turn is the head. */
export const READ_PATH = script(`
local session, turns = unpack(KEYS)
local owner, turnId, reachPlaces, defaultPlaces, taken = unpack(ARGV)
${PATHS}${REACH}
local values = redis.call('HMGET', session, ${LUA_SESSION_FIELDS}, 'limit')
if values[1] ~= owner then return nil end
if turnId == '' then turnId = values[3] end
local number = turnId ~= '' and redis.call('HGET', turns, '#' .. turnId)
if not number or not endOf(number) then number = '0' end
return {values, reachBack(number, values[8], reachPlaces, defaultPlaces, taken)}
`);

/**
 * The turns in which the items of a page are, newest first: the cursor's, and as many others as hold the number that is
 * wanted. Returns the id of the cursor's turn, the turns' values and the id of the head; nothing if the session is not the
 * owner's, 0 if the cursor is not on the path. A distant ancestor is reached by jumps.
 */
export const READ_ITEMS = script(`
local session, turns, items = unpack(KEYS)
local owner, after, order, wanted = unpack(ARGV)
wanted = tonumber(wanted)
${PATHS}
local values = redis.call('HMGET', session, 'owner', 'head')
if values[1] ~= owner then return nil end
local head = values[2] ~= '' and redis.call('HGET', turns, '#' .. values[2]) or '0'

local function isOnPath(number)
  local at = head
  while tonumber(at) > tonumber(number) do
    local parent, jump = placeOf(at)
    at = tonumber(jump) >= tonumber(number) and jump or parent
  end
  return at == number
end

-- the newest turn of the path with no more than so many places before it
local function reachedBy(places)
  local at = head
  while at ~= '0' do
    local parent, jump, _, before = placeOf(at)
    if before <= places then return at end
    at = parent
    if jump ~= '0' then
      local _, _, _, jumpBefore = placeOf(jump)
      if jumpBefore > places then at = jump end
    end
  end
  return at
end

local cursor
if after ~= '' then
  for number in string.gmatch(redis.call('HGET', items, after) or '', '%d+') do
    if not cursor and isOnPath(number) then cursor = number end
  end
  if not cursor then return 0 end
end
if head == '0' then return {'', {}, ''} end
local cursorBefore, cursorPlaces = 0, 0
if cursor then
  local _, _, _, before = placeOf(cursor)
  local _, reached = endOf(cursor)
  cursorBefore, cursorPlaces = before, reached
end
local cursorId = cursor and string.match(redis.call('HGET', turns, cursor), '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ (.*)$') or ''
if order == 'asc' then
  return {cursorId, readPath(reachedBy(cursorPlaces + wanted - 1), cursorBefore), values[2]}
end
if not cursor then
  local _, reached = endOf(head)
  return {cursorId, readPath(head, reached - wanted), values[2]}
end
return {cursorId, readPath(cursor, cursorBefore - wanted), values[2]}
`);
