/**
 * Functions that more than one script begins with. A script's text is these and its own lines, so that each is whole for
 * the server. They expect `turns`, the key of a session's turns.
 */

/**
 * The time of the server in milliseconds, and in microseconds. Numbers this long must be written with `%.0f`: Lua's own
 * way of writing them loses digits.
 */
export const CLOCK = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
end
`;

/** A time for the order of changes to one session, whichever server of a cluster it was made by: microseconds. */
export const REVISION = `
local function nextRevision(last)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  if last and tonumber(last) >= now then now = tonumber(last) + 1 end
  return string.format('%.0f', now)
end
`;

/** A turn's place in the tree (records.ts), and reading a path from its newest turn back. */
export const PATHS = `
-- parent and jump are texts, for they are only names; the rest are numbers
local function placeOf(number)
  local parent, jump, depth, before, own = string.match(
    redis.call('HGET', turns, number), '^(%d+) (%d+) (%d+) (%d+) (%d+)')
  return parent, jump, tonumber(depth), tonumber(before), tonumber(own)
end

-- whether the turn is part of the conversation, and the places on the path with it
local function endOf(number)
  local text = redis.call('HGET', turns, number .. 'e')
  if not text then return false, 0 end
  local joined, places = string.match(text, '^%S+ ([01]) (%d+)')
  return joined == '1', tonumber(places)
end

-- the turns from this one back to the first that has no more than floor places before it, four values each
local function readPath(number, floor)
  local path = {}
  while number ~= '0' do
    local values = redis.call('HMGET', turns, number, number .. 'e', number .. 'i', number .. 'o')
    for at = 1, 4 do path[#path + 1] = values[at] end
    local parent, before = string.match(values[1], '^(%d+) %d+ %d+ (%d+)')
    if tonumber(before) <= floor then break end
    number = parent
  end
  return path
end
`;

/** The end of the path to a turn as `Reach` says; nothing is read where nothing is wanted. */
export const REACH = `
local function reachBack(number, limit, places, defaultPlaces, taken)
  if places == '' then places = limit end
  if not places or places == '' then places = defaultPlaces end
  local wanted = tonumber(places) - tonumber(taken)
  if number == '0' or wanted <= 0 then return {} end
  local _, reached = endOf(number)
  return readPath(number, reached - wanted)
end
`;
