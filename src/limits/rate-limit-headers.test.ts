import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { BucketState } from './limiter.ts';
import { openAIRateLimitHeaders, rateLimitHeaders } from './rate-limit-headers.ts';

const bucket: BucketState = {
  limit: 'address',
  identity: '203.0.113.7',
  rate: 1,
  burst: 5,
  remaining: 4,
  resetSeconds: 1,
  exhausted: false,
};

function allowed(...buckets: Partial<BucketState>[]): Record<string, string> {
  const states = buckets.map((change) => ({ ...bucket, ...change }));
  return rateLimitHeaders({ allowed: true, retryAfterSeconds: 0, buckets: states });
}

describe('the headers of a decision', () => {
  test('of one bucket', () => {
    assert.deepEqual(allowed({}), {
      RateLimit: '"address";r=4;t=1',
      'RateLimit-Policy': '"address";q=5;w=5',
    });
  });

  test('of several buckets are lists in their order', () => {
    assert.deepEqual(allowed({}, { limit: 'key', rate: 10, burst: 25, remaining: 24 }), {
      RateLimit: '"address";r=4;t=1, "key";r=24;t=1',
      'RateLimit-Policy': '"address";q=5;w=5, "key";q=25;w=3',
    });
  });

  test('of a daily bucket are those of a day', () => {
    const day = { limit: 'day', rate: 'daily', burst: 100, resetSeconds: 600, unit: 'tokens' } as const;
    assert.deepEqual(allowed(day), {
      RateLimit: '"day";r=4;t=600',
      'RateLimit-Policy': '"day";q=100;qu="tokens";w=86400',
    });
  });

  test('tell of a bucket that denied the time of Retry-After, not the one at which it is full', () => {
    const key = { ...bucket, limit: 'key', remaining: 0, resetSeconds: 40, exhausted: true };
    assert.deepEqual(rateLimitHeaders({ allowed: false, retryAfterSeconds: 8, buckets: [bucket, key] }), {
      RateLimit: '"address";r=4;t=1, "key";r=0;t=8',
      'RateLimit-Policy': '"address";q=5;w=5, "key";q=5;w=5',
    });
  });

  test('are none where nothing limited the request', () => {
    assert.deepEqual(allowed(), {});
  });

  test('round the window up, and not because of a rounding error', () => {
    assert.equal(allowed({ rate: 2, burst: 5 })['RateLimit-Policy'], '"address";q=5;w=3');
    // 1 / (1 / 49) is a little more than 49.
    assert.equal(allowed({ rate: 1 / 49, burst: 1 })['RateLimit-Policy'], '"address";q=1;w=49');
  });

  test('quote a name as structured fields do', () => {
    assert.equal(allowed({ limit: String.raw`a"b\c` }).RateLimit, String.raw`"a\"b\\c";r=4;t=1`);
  });

  test('are structured fields whatever the numbers are, and never name the identity', () => {
    const positive = fc.double({ min: 1e-300, max: 1e300, noNaN: true });
    fc.assert(
      fc.property(positive, positive, (rate, more) => {
        const headers = allowed({ rate, burst: 1 + more, remaining: Math.floor(more) });
        assert.match(headers.RateLimit ?? '', /^"address";r=\d{1,15};t=\d{1,15}$/);
        assert.match(headers['RateLimit-Policy'] ?? '', /^"address";q=[1-9]\d{0,14};w=[1-9]\d{0,14}$/);
      }),
    );
  });
});

describe("the headers in OpenAI's names", () => {
  test('are those of the tightest bucket of each unit', () => {
    const key = { ...bucket, limit: 'key', burst: 3, remaining: 2, resetSeconds: 7 };
    const minute = {
      ...bucket,
      limit: 'minute',
      burst: 1000,
      remaining: 900,
      resetSeconds: 6,
      unit: 'tokens',
    };
    const day = {
      ...minute,
      limit: 'day',
      rate: 'daily' as const,
      burst: 5000,
      remaining: 40,
      resetSeconds: 600,
    };
    const decision = { allowed: true, retryAfterSeconds: 0, buckets: [bucket, key, minute, day] };
    assert.deepEqual(openAIRateLimitHeaders(decision), {
      'x-ratelimit-limit-requests': '3',
      'x-ratelimit-remaining-requests': '2',
      'x-ratelimit-reset-requests': '7s',
      'x-ratelimit-limit-tokens': '5000',
      'x-ratelimit-remaining-tokens': '40',
      'x-ratelimit-reset-tokens': '600s',
    });
  });

  test('tell of a bucket that denied when to come again, and nothing where nothing limits', () => {
    const denied = { ...bucket, remaining: 0, resetSeconds: 40, exhausted: true };
    const decision = { allowed: false, retryAfterSeconds: 8, buckets: [denied] };
    assert.equal(openAIRateLimitHeaders(decision)['x-ratelimit-reset-requests'], '8s');
    assert.deepEqual(openAIRateLimitHeaders({ ...decision, buckets: [] }), {});
  });
});
