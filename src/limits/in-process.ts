/**
 * The limiter of a server that is alone: buckets in its own memory, which a restart fills.
 *
 * The number of buckets is bounded, and no flood of identities can refill anybody's: a bucket is forgotten only when
 * it is full again. Where all places are taken by buckets that are not, identities without one share buckets by the
 * hash of their name until there is room: they may then be let through less often than they should, never more.
 */

import { createHash } from 'node:crypto';
import { createBucketTable, type Level } from './bucket-table.ts';
import type { Bucket, BucketState, Decision, Limiter } from './limiter.ts';

export interface InProcessLimiterOptions {
  /** Buckets that are remembered at once, at about 150 bytes each; some that are shared may come on top. */
  maxIdentities?: number;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

/** About 30 MB when all are taken (`bench/limiter.ts`). Only buckets that are not full take a place. */
const MAX_IDENTITIES = 200_000;

/** Shared buckets of one limit. Enough that a flood has to be a large one to empty all of them. */
const SHARED_BUCKETS = 1024;

/** Longer identities are remembered as their hash, so that nobody can fill the memory with a few long ones. */
const MAX_NAME_LENGTH = 100;

/** Places that every new identity empties, where it can: more than it takes, so that a flood is soon forgotten. */
const FORGOTTEN_FOR_ONE = 2;

/**
 * What rounding may cost, in tokens. A bucket this close to a whole token has it; what is taken too early stays
 * missing, so the errors do not add up.
 */
const TOLERANCE = 1e-9;

/** A bucket and how many tokens it has now. */
interface Filled {
  bucket: Bucket;
  name: string;
  tokens: number;
}

/**
 * Takes throw a `RangeError` for a bucket that no request could pass or none could empty, which is a mistake in the
 * caller's settings.
 */
export function createInProcessLimiter({
  maxIdentities = MAX_IDENTITIES,
  now = () => performance.now(),
}: InProcessLimiterOptions = {}): Limiter {
  if (!Number.isInteger(maxIdentities) || maxIdentities < 1) {
    throw new RangeError(`maxIdentities must be a whole number above 0, not ${maxIdentities}.`);
  }
  const table = createBucketTable();
  return { take };

  async function take(buckets: readonly Bucket[]): Promise<Decision> {
    for (const bucket of buckets) check(bucket);
    const time = now();
    const filled = buckets.map((bucket) => fill(bucket, bucketName(bucket), time));
    const allowed = filled.every(({ tokens }) => hasToken(tokens));
    if (!allowed) return denial(filled);
    const states = filled.map(({ bucket, name }) => stateOf(takeToken(bucket, name, time), false));
    return { allowed, retryAfterSeconds: 0, buckets: states };
  }

  /** What the bucket has now. One without a place has what its shared bucket has, so that moving gains nothing. */
  function fill(bucket: Bucket, name: string, time: number): Filled {
    const level = table.get(name) ?? table.get(sharedName(bucket, name));
    return { bucket, name, tokens: level === undefined ? bucket.burst : tokensAt(level, bucket, time) };
  }

  /** Reads anew what it has, because two buckets of one request may be the same shared one. */
  function takeToken(bucket: Bucket, name: string, time: number): Filled {
    const tokens = fill(bucket, name, time).tokens - 1;
    const level = { tokens, at: time, fullAt: time + ((bucket.burst - tokens) / bucket.rate) * 1000 };
    table.set(hasPlace(name, time) ? name : sharedName(bucket, name), level);
    return { bucket, name, tokens };
  }

  /** Whether the bucket has a place of its own, or there is room for it. */
  function hasPlace(name: string, time: number): boolean {
    if (table.get(name) !== undefined) return true;
    table.forgetFull(time, FORGOTTEN_FOR_ONE);
    return table.size < maxIdentities;
  }
}

function check({ limit, rate, burst }: Bucket): void {
  if (!(rate > 0 && rate < Infinity)) {
    throw new RangeError(`The rate of the limit ${limit} must be above 0, not ${rate}.`);
  }
  if (!(burst >= 1 && burst < Infinity)) {
    throw new RangeError(`The burst of the limit ${limit} must be at least 1, not ${burst}.`);
  }
}

/** A name that no other bucket has. */
function bucketName({ limit, identity }: Bucket): string {
  const name = `${limit.length}:${limit}:${identity}`;
  return name.length > MAX_NAME_LENGTH ? createHash('sha256').update(name).digest('base64') : name;
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

/** @param time milliseconds, as all times here are: a difference of whole ones is exact after years as well */
function tokensAt({ tokens, at }: Level, { rate, burst }: Bucket, time: number): number {
  return Math.min(burst, tokens + (Math.max(0, time - at) / 1000) * rate);
}

function hasToken(tokens: number): boolean {
  return tokens >= 1 - TOLERANCE;
}

function denial(filled: readonly Filled[]): Decision {
  const waits = filled.filter(({ tokens }) => !hasToken(tokens)).map(secondsToToken);
  const buckets = filled.map((one) => stateOf(one, !hasToken(one.tokens)));
  return { allowed: false, retryAfterSeconds: Math.max(...waits), buckets };
}

/** Half the tolerance, so that after these seconds the token is there in spite of rounding. */
function secondsToToken({ bucket, tokens }: Filled): number {
  return Math.max(1, Math.ceil((1 - TOLERANCE / 2 - tokens) / bucket.rate));
}

function stateOf({ bucket, tokens }: Filled, exhausted: boolean): BucketState {
  const missing = bucket.burst - TOLERANCE - tokens;
  return {
    ...bucket,
    remaining: Math.max(0, Math.floor(tokens + TOLERANCE)),
    resetSeconds: Math.max(0, Math.ceil(missing / bucket.rate)),
    exhausted,
  };
}
