/**
 * The limiter of servers that share a Redis: each take is one script, one step, on the clock of the engine, so that an
 * identity gets the same however many servers it asks. What the script does is in redis-scripts.ts; what is told of it is
 * made here by the same functions as in one process.
 *
 * All buckets are in one hash slot, because those of one take must be: which address and which key come together nobody
 * can tell before. So one server of a cluster counts for all, which takes it about 20 µs for two buckets: 40,000 requests
 * a second. What is kept is bounded by who is active: a key expires when its bucket is full.
 *
 * What was used of a day is asked once, by the first take that finds nothing written of it, and is written in the step
 * that takes: of servers that ask at the same time the first one's answer stands, and what the others take comes on top.
 * Turns that began before there was a daily bucket are known when they are over and stored, and so may those be that
 * are running when Redis loses its data.
 */

import type { RedisConnection } from '../redis/connection.ts';
import { costOf, neededOf, toleranceOf } from './bucket-fill.ts';
import { allowance, bucketName, checkBucket, denial } from './decision.ts';
import type { Bucket, Decision, Limiter } from './limiter.ts';
import { asLimitsOutage, LimitsOutage } from './limits-outage.ts';
import { SETTLE, TAKE } from './redis-scripts.ts';

export interface RedisLimiterOptions {
  /** What was used today of a daily bucket that Redis does not know, in tokens. If it rejects, so does the take. */
  usedToday?: (bucket: Bucket) => Promise<number>;
  /** Milliseconds since the epoch, in place of the engine's clock; for tests, which move it. */
  now?: () => number;
  /** Milliseconds that a key stays after its bucket is full. */
  keepMilliseconds?: number;
}

/** The clock by which keys expire may be a little ahead of the one that a script reads. */
const KEEP_MILLISECONDS = 1000;

/** `unknown` and numbers of buckets; or whether it is allowed, the time, and tokens. */
type TakeReply = ['unknown', ...number[]] | [0 | 1, string, ...string[]];

/**
 * Takes throw a `RangeError` for a bucket that makes no sense, and `LimitsOutage` where Redis does not serve.
 * @param prefix begins every key
 */
export function createRedisLimiter(
  redis: Pick<RedisConnection, 'run'>,
  prefix: string,
  { usedToday, now, keepMilliseconds = KEEP_MILLISECONDS }: RedisLimiterOptions = {},
): Limiter {
  return { take, settle };

  async function take(buckets: readonly Bucket[]): Promise<Decision> {
    for (const bucket of buckets) checkBucket(bucket);
    if (buckets.length === 0) return { allowed: true, retryAfterSeconds: 0, buckets: [] };
    const used = new Map<number, number>();
    for (;;) {
      const reply = await run<TakeReply>(TAKE, buckets, (bucket, number) => [
        costOf(bucket),
        neededOf(bucket) - toleranceOf(bucket),
        bucket.rate === 'daily' && usedToday !== undefined ? (used.get(number) ?? '?') : '',
      ]);
      if (reply[0] !== 'unknown') return decisionOf(buckets, reply);
      const [, ...unknown] = reply;
      for (const number of unknown) used.set(number, (await usedToday?.(buckets[number] as Bucket)) ?? 0);
    }
  }

  async function settle(buckets: readonly Bucket[], cost: number): Promise<void> {
    if (buckets.length === 0) return;
    try {
      await run(SETTLE, buckets, (bucket) => [costOf(bucket) - cost]);
    } catch (error) {
      if (!(error instanceof LimitsOutage)) throw error;
    }
  }

  /** @param more what the script wants to know of each bucket, after its rate and its burst */
  async function run<Reply>(
    script: typeof TAKE,
    buckets: readonly Bucket[],
    more: (bucket: Bucket, number: number) => (string | number)[],
  ): Promise<Reply> {
    const keys = buckets.map((bucket) => `${prefix}{limits}:bucket:${bucketName(bucket)}`);
    const clock = now === undefined ? '' : now() * 1000;
    const each = buckets.flatMap((bucket, number) => [bucket.rate, bucket.burst, ...more(bucket, number)]);
    try {
      return await redis.run<Reply>(script, keys, [clock, keepMilliseconds, ...each]);
    } catch (error) {
      throw asLimitsOutage(error);
    }
  }
}

function decisionOf(
  buckets: readonly Bucket[],
  [allowed, microseconds, ...tokens]: [0 | 1, string, ...string[]],
): Decision {
  const wall = Number(microseconds) / 1000;
  const filled = buckets.map((bucket, number) => ({ bucket, tokens: Number(tokens[number]) }));
  return (allowed === 1 ? allowance : denial)(filled, { time: wall, wall });
}
