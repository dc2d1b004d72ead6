/** Token buckets counted in whole numbers, to compare a limiter's decisions with. */

import type { Bucket, Decision } from './limiter.ts';

/** A rate as a fraction, so that the model can count in whole numbers; a daily bucket gains 0 in a second. */
export interface Policy {
  limit: string;
  tokens: number;
  seconds: number;
  burst: number;
}

export interface Asked {
  policy: Policy;
  identity: string;
  cost: number;
  need: number;
}

export const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

export function asBucket({ policy, identity, cost, need }: Asked): Bucket {
  return { ...bucketOf(policy, identity), cost, need };
}

export function bucketOf({ limit, tokens, seconds, burst }: Policy, identity: string): Bucket {
  return { limit, identity, rate: tokens === 0 ? 'daily' : tokens / seconds, burst };
}

export function dayOf(milliseconds: number): number {
  return Math.floor(milliseconds / DAY_MILLISECONDS);
}

/** Without rounding: a token is `seconds × 1000` parts, and a millisecond brings `tokens` of them. */
export function createModel(sinceMidnight: number) {
  let now = sinceMidnight;
  const levels = new Map<string, { parts: number; at: number }>();
  return { take, settle };

  function take(milliseconds: number, buckets: readonly Asked[]): Decision {
    now += milliseconds;
    const filled = buckets.map((asked) => ({ asked, ...read(asked) }));
    const allowed = filled.every(({ parts, needed }) => parts >= needed);
    let retryAfterSeconds = 0;
    const states = filled.map(({ asked, name, token, full, parts, price, needed }) => {
      const left = allowed ? parts - price : parts;
      if (allowed) levels.set(name, { parts: left, at: now });
      const lacks = parts < needed;
      if (lacks) retryAfterSeconds = Math.max(retryAfterSeconds, seconds(asked, needed - parts));
      return {
        ...asBucket(asked),
        remaining: Math.max(0, Math.floor(left / token)),
        resetSeconds: seconds(asked, full - left),
        exhausted: lacks,
      };
    });
    return { allowed, retryAfterSeconds, buckets: states };
  }

  function settle(buckets: readonly Asked[], cost: number): void {
    for (const asked of buckets) {
      const { name, token, full, parts, price } = read(asked);
      levels.set(name, { parts: Math.min(full, parts + price - cost * token), at: now });
    }
  }

  function read({ policy, identity, cost, need }: Asked) {
    const name = `${policy.limit} ${identity}`;
    const token = policy.seconds * 1000;
    const full = policy.burst * token;
    const price = Math.min(cost, policy.burst) * token;
    const needed = Math.min(Math.max(cost, need), policy.burst) * token;
    const { parts: before, at } = levels.get(name) ?? { parts: full, at: now };
    const isNewDay = policy.tokens === 0 && dayOf(now) > dayOf(at);
    const parts = isNewDay ? full : Math.min(full, before + (now - at) * policy.tokens);
    return { name, token, full, price, needed, parts };
  }

  function seconds({ policy }: Asked, parts: number): number {
    if (parts <= 0) return 0;
    const milliseconds =
      policy.tokens === 0 ? (dayOf(now) + 1) * DAY_MILLISECONDS - now : parts / policy.tokens;
    return Math.ceil(milliseconds / 1000);
  }
}
