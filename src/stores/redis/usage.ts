/**
 * What clients have used, on Redis: for each day the totals of every place and writer, in the slot of what operators keep.
 * Reading goes in pieces.
 */

import { countDays, dayAfter } from '../../conversation/day.ts';
import type { Page } from '../../conversation/page.ts';
import type { UsageCount, UsageSum, UsageTotal } from '../../conversation/usage-count.ts';
import { createUsageSums } from '../../conversation/usage-sums.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import { script } from '../../redis/script.ts';
import type { UsageQuery } from '../admin-store.ts';
import type { Keyspace } from './keyspace.ts';

/** Totals that are read at once. */
const AT_ONCE = 1000;
/** Keys of the server that are looked at in one step: a millisecond or so. */
const SCANNED_AT_ONCE = 1000;

/**
 * Parameters after the first: three for each total, its day, its place and its numbers. Of numbers that are there the
 * larger stay, in the text in which they came. The keys are made from the day, in the slot of the first one.
 */
const SAVE_USAGE = script(`
local base = ARGV[1]
for at = 2, #ARGV, 3 do
  local day, place, numbers = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local totals = base .. 'usage:' .. day
  local known = redis.call('HGET', totals, place)
  if known then
    local larger = {}
    local next = string.gmatch(known, '%S+')
    for number in string.gmatch(numbers, '%S+') do
      local old = next()
      larger[#larger + 1] = tonumber(old) > tonumber(number) and old or number
    end
    numbers = table.concat(larger, ' ')
  end
  redis.call('HSET', totals, place, numbers)
  redis.call('ZADD', totals .. ':places', 0, place)
end
return 1
`);

/** Places in their order from the last one on, each with its numbers. */
const READ_USAGE = script(`
local totals, places = unpack(KEYS)
local from, count = unpack(ARGV)
local page = redis.call('ZRANGE', places, from, '+', 'BYLEX', 'LIMIT', 0, count)
local found = {}
for at, place in ipairs(page) do found[at] = {place, redis.call('HGET', totals, place)} end
return found
`);

export function createRedisUsage(connection: RedisConnection, { admin: base }: Keyspace) {
  return { save, read, all };

  async function save(totals: readonly UsageTotal[]): Promise<void> {
    if (totals.length === 0) return;
    const parameters = totals.flatMap((total) => {
      const { day, owner, provider, model, writer } = total;
      return [day, JSON.stringify([owner, provider, model, writer]), numbersOf(total)];
    });
    await connection.run(SAVE_USAGE, [`${base}usage`], [base, ...parameters]);
  }

  async function read({ from, to, owner, by, limit }: UsageQuery): Promise<Page<UsageSum>> {
    const sums = createUsageSums(by, limit);
    const days = countDays(from, to);
    for (let index = 0; index < days; index += 1) {
      const day = dayAfter(from, index);
      for await (const [place, numbers] of totalsOf(day)) {
        const [of, provider, model] = JSON.parse(place) as [string, string, string, string];
        if (owner === null || of === owner)
          sums.add({ day, owner: of, provider, model, ...toCount(numbers) });
      }
    }
    return sums.page();
  }

  /** Everything, day by day. */
  async function* all(): AsyncGenerator<UsageTotal> {
    for (const day of await days()) {
      for await (const [place, numbers] of totalsOf(day)) {
        const [owner, provider, model, writer] = JSON.parse(place) as [string, string, string, string];
        yield { day, owner, provider, model, writer, ...toCount(numbers) };
      }
    }
  }

  /**
   * The days that have totals. No list of them is kept, for nobody else asks: the server's keys are looked through, on
   * a cluster those of the server that has this slot.
   */
  async function days(): Promise<string[]> {
    const pattern = `${base.replaceAll(/[*?[\]\\]/g, '\\$&')}usage:????-??-??`;
    const found = new Set<string>();
    for (let cursor = '0'; ; ) {
      const command = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', SCANNED_AT_ONCE];
      const [next, keys] = await connection.send<[string, string[]]>(`${base}usage`, command);
      for (const key of keys) found.add(key.slice(`${base}usage:`.length));
      if (next === '0') return [...found].sort();
      cursor = next;
    }
  }

  async function* totalsOf(day: string): AsyncGenerator<[place: string, numbers: string]> {
    const totals = `${base}usage:${day}`;
    for (let from = '-'; ; ) {
      const parameters = [from, AT_ONCE];
      const found = await connection.run<[string, string][]>(
        READ_USAGE,
        [totals, `${totals}:places`],
        parameters,
      );
      yield* found;
      const last = found.at(-1);
      if (last === undefined || found.length < AT_ONCE) return;
      from = `(${last[0]}`;
    }
  }
}

function numbersOf({
  turns,
  attempts,
  inputTokens,
  outputTokens,
  cachedTokens,
  reasoningTokens,
  cost,
}: UsageCount): string {
  return [turns, attempts, inputTokens, outputTokens, cachedTokens, reasoningTokens, cost].join(' ');
}

function toCount(text: string): UsageCount {
  const [turns = 0, attempts = 0, inputTokens = 0, outputTokens = 0, ...rest] = text.split(' ').map(Number);
  const [cachedTokens = 0, reasoningTokens = 0, cost = 0] = rest;
  return { turns, attempts, inputTokens, outputTokens, cachedTokens, reasoningTokens, cost };
}
