/**
 * What a decision looks like in the headers `RateLimit` and `RateLimit-Policy`, structured fields as
 * draft-ietf-httpapi-ratelimit-headers-10 has them: one item for each bucket, named after its limit.
 */

import type { BucketState, Decision } from './limiter.ts';

/** Structured fields know no larger integers. */
const MOST = 999_999_999_999_999;

/** A rounding error is no second. */
const TOLERANCE = 1e-9;

/** Both headers by name; none if nothing limited the request. Identities are not shown. */
export function rateLimitHeaders(decision: Decision): Record<string, string> {
  const { buckets } = decision;
  if (buckets.length === 0) return {};
  return {
    RateLimit: buckets.map((bucket) => stateItem(bucket, decision)).join(', '),
    'RateLimit-Policy': buckets.map(policyItem).join(', '),
  };
}

/**
 * The same in the names that clients of OpenAI's look for. They know one bucket for each unit: of several, the one that has
 * the least left.
 * Source: developers.openai.com/api/docs/guides/rate-limits, "Rate limits in headers".
 */
export function openAIRateLimitHeaders(decision: Decision): Record<string, string> {
  const tightest = new Map<string, BucketState>();
  for (const bucket of decision.buckets) {
    const { unit = 'requests', remaining } = bucket;
    if (remaining < (tightest.get(unit)?.remaining ?? Infinity)) tightest.set(unit, bucket);
  }
  const headers: Record<string, string> = {};
  for (const [unit, bucket] of tightest) {
    headers[`x-ratelimit-limit-${unit}`] = String(integer(bucket.burst));
    headers[`x-ratelimit-remaining-${unit}`] = String(integer(bucket.remaining));
    headers[`x-ratelimit-reset-${unit}`] = `${integer(secondsLeft(bucket, decision))}s`;
  }
  return headers;
}

/** `r` requests are left for the next `t` seconds: of a bucket that denied, none until a retry makes sense. */
function stateItem(bucket: BucketState, decision: Decision): string {
  const seconds = integer(secondsLeft(bucket, decision));
  return `${quoted(bucket.limit)};r=${integer(bucket.remaining)};t=${seconds}`;
}

function secondsLeft({ exhausted, resetSeconds }: BucketState, { retryAfterSeconds }: Decision): number {
  return exhausted ? retryAfterSeconds : resetSeconds;
}

const DAY_SECONDS = 86_400;

/** `q` requests, or whatever `qu` says, in `w` seconds: the time in which the bucket fills from empty. */
function policyItem({ limit, rate, burst, unit }: BucketState): string {
  const seconds = rate === 'daily' ? DAY_SECONDS : Math.max(1, Math.ceil(burst / rate - TOLERANCE));
  const counted = unit === undefined ? '' : `;qu=${quoted(unit)}`;
  return `${quoted(limit)};q=${integer(burst)}${counted};w=${integer(seconds)}`;
}

function integer(value: number): number {
  return Math.min(Math.floor(value), MOST);
}

function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
