/**
 * The slots of servers that share a Redis: each one held is a lease in a sorted set of its identity, by the time at which
 * it ends, on the clock of the engine. One timer renews all that this process holds. Those of a server that died are free
 * when their lease is over; so are those that could not be given back.
 *
 * A lease that has lapsed, because the server stood still or Redis was out, is renewed all the same: what it stands for
 * goes on. There may then be more than there should, and nobody gets another until there are not.
 */

import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '../redis/connection.ts';
import { script } from '../redis/script.ts';
import { shortName } from './decision.ts';
import { asLimitsOutage } from './limits-outage.ts';
import type { Slots } from './slots.ts';

export interface RedisSlots extends Slots {
  /** Gives back what is still held, and resolves when everything is given back or Redis did not take it in time. */
  close(): Promise<void>;
}

export interface RedisSlotsOptions {
  /** After which the slots of a server that died are free. */
  leaseMilliseconds: number;
  /** Told what went wrong when a slot was renewed or given back, except where Redis is out. */
  onFailure: (error: unknown) => void;
  /** Milliseconds since the epoch, in place of the engine's clock; for tests, which move it. */
  now?: () => number;
}

/** A lease lasts for two renewals that fail. */
const RENEWALS_IN_LEASE = 3;

/** Redis does nothing else during a script. */
const RENEWED_AT_ONCE = 500;

/** Expects `clock`, milliseconds in place of the engine's own, or nothing. */
const CLOCK = `
local now = tonumber(clock)
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

const TAKE = script(`
local leases = KEYS[1]
local clock, lease, most, slot = unpack(ARGV)
${CLOCK}
redis.call('ZREMRANGEBYSCORE', leases, '-inf', string.format('%.0f', now))
if redis.call('ZCARD', leases) >= tonumber(most) then return 0 end
redis.call('ZADD', leases, string.format('%.0f', now + lease), slot)
redis.call('PEXPIRE', leases, lease)
return 1
`);

/** Of each key one slot, in their order. */
const RENEW = script(`
local clock, lease = unpack(ARGV, 1, 2)
${CLOCK}
for number, leases in ipairs(KEYS) do
  redis.call('ZADD', leases, string.format('%.0f', now + lease), ARGV[number + 2])
  redis.call('PEXPIRE', leases, lease)
end
return 1
`);

/**
 * Takes reject with `LimitsOutage` where Redis does not serve. Does not keep the process alive.
 * @param prefix begins every key
 */
export function createRedisSlots(
  redis: Pick<RedisConnection, 'run' | 'send'>,
  prefix: string,
  { leaseMilliseconds, onFailure, now }: RedisSlotsOptions,
): RedisSlots {
  /** Keys by the slots that are held. */
  const held = new Map<string, string>();
  /** What is being given back. */
  const underWay = new Set<Promise<void>>();
  const lease = Math.ceil(leaseMilliseconds);
  const timer = setInterval(() => void renew(), lease / RENEWALS_IN_LEASE).unref();

  return {
    async take(identity, most) {
      const key = `${prefix}{limits}:slots:${shortName(identity)}`;
      const slot = randomUUID();
      if (!(await isTaken(key, slot, most))) return null;
      held.set(slot, key);
      return { release: () => giveBack(slot) };
    },
    async close() {
      clearInterval(timer);
      for (const slot of held.keys()) void giveBack(slot);
      await Promise.all(underWay);
    },
  };

  async function isTaken(key: string, slot: string, most: number): Promise<boolean> {
    try {
      return (await redis.run<number>(TAKE, [key], [clock(), lease, most, slot])) === 1;
    } catch (error) {
      // An engine that stood still may do it later, for nobody; then this comes after it.
      void remove(key, slot);
      throw asLimitsOutage(error);
    }
  }

  async function giveBack(slot: string): Promise<void> {
    const key = held.get(slot);
    if (key === undefined) return;
    held.delete(slot);
    await remove(key, slot);
  }

  function remove(key: string, slot: string): Promise<void> {
    const one = redis
      .send(key, ['ZREM', key, slot])
      .then(() => undefined, failed)
      .finally(() => underWay.delete(one));
    underWay.add(one);
    return one;
  }

  async function renew(): Promise<void> {
    const all = [...held];
    for (let start = 0; start < all.length; start += RENEWED_AT_ONCE) {
      // Only what is held by now: one that was given back meanwhile must not come to life again.
      const batch = all.slice(start, start + RENEWED_AT_ONCE).filter(([slot]) => held.has(slot));
      const keys = batch.map(([, key]) => key);
      const slots = batch.map(([slot]) => slot);
      try {
        if (keys.length > 0) await redis.run(RENEW, keys, [clock(), lease, ...slots]);
      } catch (error) {
        failed(error);
        return;
      }
    }
  }

  function failed(error: unknown): void {
    const known = asLimitsOutage(error);
    if (known === error) onFailure(error);
  }

  function clock(): number | '' {
    return now === undefined ? '' : now();
  }
}
