/**
 * The scripts on buckets in Redis: the arithmetic of bucket-fill.ts, on the engine's own clock. Its numbers are the same
 * doubles, written with all their digits, so that nothing is lost between two takes.
 *
 * A bucket is a text, `<tokens> <at>`: what it had, and when, in microseconds since the epoch. Of a daily one it is what
 * it lacks, and the day. A key that is not there is a full bucket; so it may go as soon as the bucket is full. A daily one
 * must not be forgotten on its day, whatever the clocks do.
 */

import { script } from '../redis/script.ts';

/**
 * Expects `clock`, a time in microseconds in place of the engine's own, or nothing, and `keep`, milliseconds that a key
 * stays longer than its bucket needs it.
 */
const BUCKETS = `
local DAY, HOUR, LONGEST = 86400000000, 3600000, 1e12
local now = tonumber(clock)
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local today = math.floor(now / DAY)

-- what the bucket has, and the day or the time of what is written of it
local function read(value, rate, burst)
  if not value then return burst, 0 end
  local tokens, at = string.match(value, '^(%S+) (%S+)$')
  tokens, at = tonumber(tokens), tonumber(at)
  if rate ~= 'daily' then
    return math.min(burst, tokens + math.max(0, now - at) / 1000000 * rate), at
  end
  if today > at then return burst, at end
  return math.min(burst, burst + tokens), at
end

local function write(key, rate, burst, tokens, at)
  local level, stamp, expiry
  if rate == 'daily' then
    level, stamp = tokens - burst, math.max(today, at)
    expiry = ((today + 1) * DAY - now) / 1000 + HOUR
  else
    level, stamp = tokens, now
    expiry = (burst - tokens) / rate * 1000
  end
  expiry = math.ceil(math.min(expiry, LONGEST)) + keep
  redis.call('SET', key, string.format('%.17g %.0f', level, stamp), 'PX', string.format('%.0f', expiry))
end
`;

/**
 * Takes from all buckets or from none. Parameters: clock, keep, then for each bucket its rate (`daily` or tokens a
 * second), its burst, the cost, the tokens that are enough, and, of a daily one, what was used today where nothing is
 * written of it: a number, `?` if that must be asked, or nothing.
 *
 * Returns `unknown` and the numbers of the buckets of which it must be asked, and has taken nothing; or 1 or 0, the time
 * in microseconds, and the tokens of each bucket afterwards.
 */
export const TAKE = script(`
local clock, keep = ARGV[1], tonumber(ARGV[2])
${BUCKETS}
local values, unknown = {}, {}
if #KEYS > 0 then values = redis.call('MGET', unpack(KEYS)) end
for number = 1, #KEYS do
  if not values[number] and ARGV[number * 5 + 2] == '?' then unknown[#unknown + 1] = number - 1 end
end
if #unknown > 0 then return {'unknown', unpack(unknown)} end

local filled, allowed = {}, 1
for number, key in ipairs(KEYS) do
  local rate, burst, cost, enough, used = unpack(ARGV, number * 5 - 2, number * 5 + 2)
  burst = tonumber(burst)
  local tokens, at = read(values[number], rate, burst)
  if not values[number] and used ~= '' then
    tokens = burst - tonumber(used)
    write(key, rate, burst, tokens, 0)
  elseif at > now then
    -- The clock was set back. Nobody waits until it is again what it was.
    write(key, rate, burst, tokens, at)
  end
  if tokens < tonumber(enough) then allowed = 0 end
  filled[number] = {rate, burst, tonumber(cost), tokens, at}
end
local reply = {allowed, string.format('%.0f', now)}
for number, key in ipairs(KEYS) do
  local rate, burst, cost, tokens, at = unpack(filled[number])
  -- A day of which nothing was taken yet is written as well: what is settled later belongs to it.
  if allowed == 1 and (cost > 0 or rate == 'daily') then
    tokens = tokens - cost
    write(key, rate, burst, tokens, at)
  end
  reply[#reply + 1] = string.format('%.17g', tokens)
end
return reply
`);

/**
 * Puts right what was taken. Parameters: clock, keep, then for each bucket its rate, its burst, and what it gets back,
 * below 0 if it was more. A daily bucket of which nothing is written is left so: what was used of it will be asked.
 */
export const SETTLE = script(`
local clock, keep = ARGV[1], tonumber(ARGV[2])
${BUCKETS}
for number, key in ipairs(KEYS) do
  local rate, burst, back = unpack(ARGV, number * 3, number * 3 + 2)
  burst = tonumber(burst)
  local value = redis.call('GET', key)
  if value or rate ~= 'daily' then
    local tokens, at = read(value, rate, burst)
    tokens = math.min(burst, tokens + tonumber(back))
    if tokens < burst or rate == 'daily' then
      write(key, rate, burst, tokens, at)
    elseif value then
      redis.call('DEL', key)
    end
  end
end
return 1
`);
