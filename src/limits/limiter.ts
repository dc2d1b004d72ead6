/**
 * The limiter: token buckets per identity. `limiter.contract.ts` runs against every implementation.
 *
 * A bucket holds up to `burst` tokens and gains `rate` a second. Over any span of time an identity is let
 * through at most `burst + rate × seconds` times, exactly, whatever the number of requests at once.
 */

export interface Limiter {
  /**
   * Takes one token from each bucket, or none from any: a denied request costs nothing anywhere. Buckets that
   * nobody has used for so long that they are full again are as good as new, and need not be remembered.
   * @param buckets one for each thing that the request counts against; with none it is always let through
   */
  take(buckets: readonly Bucket[]): Promise<Decision>;
}

export interface Bucket {
  /** What is limited, as clients are told: `address`, `key`, … */
  limit: string;
  /** Whose bucket: another limit's same text is another bucket. */
  identity: string;
  /** Tokens a second; above 0. */
  rate: number;
  /** Tokens when full; at least 1. A change of rate or burst holds from the next take on. */
  burst: number;
}

export interface Decision {
  allowed: boolean;
  /** Whole seconds until the request would be let through, rounded up, at least 1; 0 if it was. */
  retryAfterSeconds: number;
  /** One for each bucket, in their order, after the take. */
  buckets: readonly BucketState[];
}

export interface BucketState extends Bucket {
  /** Whole tokens that are left. */
  remaining: number;
  /** Whole seconds, rounded up, until it is full again; 0 if it is. */
  resetSeconds: number;
  /** Whether it is this bucket, or also this one, that has denied the request. */
  exhausted: boolean;
}
