/**
 * The limiter: token buckets per identity. `limiter.contract.ts` runs against every implementation.
 *
 * A bucket holds up to `burst` tokens. It gains `rate` a second: over any span of time an identity is let through for
 * at most `burst + rate × seconds` tokens, exactly, whatever the number of requests at once. Or it is `daily`: full at
 * midnight in UTC and gaining nothing in between, so that no day costs more than `burst`.
 *
 * Where buckets are kept elsewhere and cannot be reached, `take` rejects with `LimitsOutage` (limits-outage.ts) and may
 * have taken all the same; what comes of that is decided in with-outage.ts.
 */

export interface Limiter {
  /**
   * Takes from each bucket what the request costs there, or nothing from any: a denied request costs nothing
   * anywhere. Buckets that nobody has used for so long that they are full again are as good as new, and need not be
   * remembered.
   * @param buckets one for each thing that the request counts against; with none it is always let through
   */
  take(buckets: readonly Bucket[]): Promise<Decision>;
  /**
   * Puts right what was taken before anybody knew what it would be: each bucket, from which its `cost` was taken,
   * gets back what that was more than the true cost, or loses what it was less. This is not denied: a bucket may be
   * left below empty, and lets nobody through until it has filled again; it is never more than full. Does not reject:
   * what cannot be put right in an outage stays as it was taken.
   * @param buckets what was given to `take`, the same array
   * @param cost the true cost in tokens, the same for all of them; 0 gives everything back
   */
  settle(buckets: readonly Bucket[], cost: number): Promise<void>;
}

export interface Bucket {
  /** What is limited, as clients are told: `address`, `key`, … */
  limit: string;
  /** Whose bucket: another limit's same text is another bucket. */
  identity: string;
  /** Tokens a second, above 0; or `daily`. */
  rate: number | 'daily';
  /** Tokens when full; at least 1. A change of rate or burst holds from the next take on. */
  burst: number;
  /**
   * Tokens that the request takes, 0 or more; 1 if left out. What costs more than the bucket can hold takes all of a
   * full bucket, and would never be let through otherwise.
   */
  cost?: number;
  /**
   * Tokens that must be there for the request to be let through, where that is more than its cost. With a cost of 0 it
   * asks for what is there and takes nothing, so that requests at the same time do not stand in each other's way.
   */
  need?: number;
  /** What is counted, as clients are told, where it is not requests. */
  unit?: string;
}

export interface Decision {
  allowed: boolean;
  /** Whole seconds until the request would be let through, rounded up, at least 1; 0 if it was. */
  retryAfterSeconds: number;
  /** One for each bucket, in their order, after the take. */
  buckets: readonly BucketState[];
}

export interface BucketState extends Bucket {
  /** Whole tokens that are left; 0 also for a bucket below empty. */
  remaining: number;
  /** Whole seconds, rounded up, until it is full again; 0 if it is. */
  resetSeconds: number;
  /** Whether it is this bucket, or also this one, that has denied the request. */
  exhausted: boolean;
}
