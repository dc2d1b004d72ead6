/**
 * The limiter of a server that is alone: buckets in its own memory. A restart fills the steady ones; of the daily ones
 * it asks what was used.
 *
 * The number of buckets is bounded, and no flood of identities can refill anybody's: a bucket is forgotten only when
 * it is full again. Where all places are taken by buckets that are not, identities without one share buckets by the
 * hash of their name until there is room: they may then be let through less often than they should, never more.
 */

import { costOf, levelOf, type Moment, tokensAt } from './bucket-fill.ts';
import { createBucketTable } from './bucket-table.ts';
import { allowance, bucketName, checkBucket, denial, type Filled, isEnough } from './decision.ts';
import type { Bucket, Decision, Limiter } from './limiter.ts';

export interface InProcessLimiterOptions {
  /** Buckets that are remembered at once, at about 150 bytes each; some that are shared may come on top. */
  maxIdentities?: number;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
  /** Milliseconds since the epoch, by which days begin. */
  wallClock?: () => number;
  /**
   * What was used today of a daily bucket that this process does not know, in tokens: neither a restart nor a limit
   * that is new gives a day's tokens twice. If it rejects, so does the take. Left out, daily buckets begin full.
   */
  usedToday?: (bucket: Bucket) => Promise<number>;
}

/** About 30 MB when all are taken (`bench/limiter.ts`). Only buckets that are not full take a place. */
const MAX_IDENTITIES = 200_000;

/** Shared buckets of one limit. Enough that a flood has to be a large one to empty all of them. */
const SHARED_BUCKETS = 1024;

/** Places that every new identity empties, where it can: more than it takes, so that a flood is soon forgotten. */
const FORGOTTEN_FOR_ONE = 2;

interface Named extends Filled {
  name: string;
}

/** Takes throw a `RangeError` for a bucket that makes no sense. */
export function createInProcessLimiter({
  maxIdentities = MAX_IDENTITIES,
  now = () => performance.now(),
  wallClock = Date.now,
  usedToday,
}: InProcessLimiterOptions = {}): Limiter {
  if (!Number.isInteger(maxIdentities) || maxIdentities < 1) {
    throw new RangeError(`maxIdentities must be a whole number above 0, not ${maxIdentities}.`);
  }
  const table = createBucketTable();
  return { take, settle };

  async function take(buckets: readonly Bucket[]): Promise<Decision> {
    for (const bucket of buckets) checkBucket(bucket);
    for (const bucket of buckets) if (isUnknownDay(bucket)) await recall(bucket);
    // From here on nothing is waited for: no other take comes in between.
    const moment = thisMoment();
    const filled = buckets.map((bucket) => fill(bucket, bucketName(bucket), moment));
    if (!filled.every(isEnough)) return denial(filled, moment);
    const left = filled.map(({ bucket, name }) => {
      // Read anew, because two buckets of one request may be the same shared one.
      const before = fill(bucket, name, moment).tokens;
      const tokens = before - costOf(bucket);
      // What only asks takes no place.
      if (tokens < before) write({ bucket, name, tokens }, moment);
      return { bucket, tokens };
    });
    return allowance(left, moment);
  }

  async function settle(buckets: readonly Bucket[], cost: number): Promise<void> {
    const moment = thisMoment();
    for (const bucket of buckets) {
      const { name, tokens: left } = fill(bucket, bucketName(bucket), moment);
      const tokens = Math.min(bucket.burst, left + costOf(bucket) - cost);
      // A bucket that is as full as one that nobody knows needs no place.
      if (tokens < bucket.burst || table.get(name) !== undefined) write({ bucket, name, tokens }, moment);
    }
  }

  /** What the bucket has now. One without a place has what its shared bucket has, so that moving gains nothing. */
  function fill(bucket: Bucket, name: string, moment: Moment): Named {
    const level = table.get(name) ?? table.get(sharedName(bucket, name));
    return { bucket, name, tokens: tokensAt(level, bucket, moment) };
  }

  function write({ bucket, name, tokens }: Named, moment: Moment): void {
    const place = hasPlace(name, moment) ? name : sharedName(bucket, name);
    table.set(place, levelOf(bucket, tokens, moment));
  }

  /** Whether the bucket has a place of its own, or there is room for it. */
  function hasPlace(name: string, { time }: Moment): boolean {
    if (table.get(name) !== undefined) return true;
    table.forgetFull(time, FORGOTTEN_FOR_ONE);
    return table.size < maxIdentities;
  }

  function isUnknownDay(bucket: Bucket): boolean {
    return usedToday !== undefined && bucket.rate === 'daily' && table.get(bucketName(bucket)) === undefined;
  }

  async function recall(bucket: Bucket): Promise<void> {
    const used = (await usedToday?.(bucket)) ?? 0;
    const moment = thisMoment();
    // By now another take may have learned of it, and taken from it.
    if (isUnknownDay(bucket) && hasPlace(bucketName(bucket), moment)) {
      table.set(bucketName(bucket), levelOf(bucket, bucket.burst - used, moment));
    }
  }

  function thisMoment(): Moment {
    return { time: now(), wall: wallClock() };
  }
}

/** Only buckets that fill alike share one; otherwise the slow would gain from the fast. */
function sharedName({ limit, rate, burst }: Bucket, name: string): string {
  return `shared:${hash(name) % SHARED_BUCKETS}:${rate}:${burst}:${limit}`;
}

/** FNV-1a, which is enough to spread names. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}
