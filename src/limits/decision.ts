/**
 * From how full buckets are to what is told of them. The same for every limiter: where buckets are kept makes no
 * difference to what a client reads. Also which buckets make no sense, and what they are called where they are kept.
 */

import { createHash } from 'node:crypto';
import { type Moment, neededOf, secondsUntil, toleranceOf } from './bucket-fill.ts';
import type { Bucket, BucketState, Decision } from './limiter.ts';

/** A bucket and how many tokens it has. */
export interface Filled {
  bucket: Bucket;
  tokens: number;
}

/** Longer identities are known by their hash, so that nobody can fill the memory with a few long ones. */
const MAX_NAME_LENGTH = 100;

/**
 * Throws a `RangeError` for a bucket that no request could pass or none could empty, which is a mistake in the caller's
 * settings.
 */
export function checkBucket({ limit, rate, burst, cost = 1, need = 0 }: Bucket): void {
  if (rate !== 'daily' && !(rate > 0 && rate < Infinity)) {
    throw new RangeError(`The rate of the limit ${limit} must be above 0, not ${rate}.`);
  }
  if (!(burst >= 1 && burst < Infinity)) {
    throw new RangeError(`The burst of the limit ${limit} must be at least 1, not ${burst}.`);
  }
  for (const [what, tokens] of Object.entries({ cost, need })) {
    if (!(tokens >= 0 && tokens < Infinity)) {
      throw new RangeError(`The ${what} under the limit ${limit} must be at least 0, not ${tokens}.`);
    }
  }
}

/** A name that no other bucket has. */
export function bucketName({ limit, identity }: Bucket): string {
  return shortName(`${limit.length}:${limit}:${identity}`);
}

/** The name, or its hash where it is a long one. */
export function shortName(name: string): string {
  return name.length > MAX_NAME_LENGTH ? createHash('sha256').update(name).digest('base64') : name;
}

export function isEnough({ bucket, tokens }: Filled): boolean {
  return tokens >= neededOf(bucket) - toleranceOf(bucket);
}

/** @param filled after the take, which was allowed */
export function allowance(filled: readonly Filled[], moment: Moment): Decision {
  const buckets = filled.map((one) => stateOf(one, moment, false));
  return { allowed: true, retryAfterSeconds: 0, buckets };
}

/** @param filled of which at least one has not enough */
export function denial(filled: readonly Filled[], moment: Moment): Decision {
  const waits = filled.filter((one) => !isEnough(one)).map((one) => secondsToEnough(one, moment));
  const buckets = filled.map((one) => stateOf(one, moment, !isEnough(one)));
  return { allowed: false, retryAfterSeconds: Math.max(...waits), buckets };
}

/** Half the tolerance, so that after these seconds the tokens are there in spite of rounding. */
function secondsToEnough({ bucket, tokens }: Filled, moment: Moment): number {
  const wanted = neededOf(bucket) - toleranceOf(bucket) / 2;
  return Math.max(1, Math.ceil(secondsUntil(bucket, tokens, wanted, moment)));
}

function stateOf({ bucket, tokens }: Filled, moment: Moment, exhausted: boolean): BucketState {
  const tolerance = toleranceOf(bucket);
  return {
    ...bucket,
    remaining: Math.max(0, Math.floor(tokens + tolerance)),
    resetSeconds: Math.ceil(secondsUntil(bucket, tokens, bucket.burst - tolerance, moment)),
    exhausted,
  };
}
