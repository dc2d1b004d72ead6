/** The contract of limiters as a suite for every implementation, under a clock that stands still until it is moved. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Bucket, Decision, Limiter } from './limiter.ts';

export interface LimiterSubject {
  limiter: Limiter;
  /** Moves the clock by which the limiter fills its buckets. */
  pass(milliseconds: number): void;
  /** Ends the subject; what it knew of buckets must not be found by the next. */
  close(): Promise<void>;
}

/** A rate as a fraction, so that the model can count in whole numbers. */
interface Policy {
  limit: string;
  tokens: number;
  seconds: number;
  burst: number;
}

/** What happens at one moment, some time after the step before. */
interface Step {
  milliseconds: number;
  buckets: { policy: Policy; identity: string }[];
}

const policies: Policy[] = [
  { limit: 'address', tokens: 1, seconds: 1, burst: 5 },
  { limit: 'key', tokens: 10, seconds: 3, burst: 20 },
  { limit: 'site', tokens: 3, seconds: 7, burst: 2 },
  { limit: 'day', tokens: 1, seconds: 3600, burst: 1 },
];

const oneBucket = fc.record({ policy: fc.constantFrom(...policies), identity: fc.constantFrom('a', 'b') });

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    milliseconds: fc.oneof(fc.constant(0), fc.nat(500), fc.nat(5000), fc.nat(10_000_000)),
    buckets: fc.uniqueArray(oneBucket, {
      maxLength: 4,
      selector: ({ policy, identity }) => `${policy.limit} ${identity}`,
    }),
  }),
  { maxLength: 60 },
);

/** Registers the suite for one implementation; `open` is called for each test, and for each run of a property. */
export function limiterContract(name: string, open: () => Promise<LimiterSubject>): void {
  describe(`limiter contract: ${name}`, () => {
    let subject: LimiterSubject;
    let limiter: Limiter;

    beforeEach(async () => {
      subject = await open();
      ({ limiter } = subject);
    });

    afterEach(() => subject.close());

    test('a full bucket lets its burst through, then as many as it gains', async () => {
      const bucket = address('a');
      assert.equal(await allowedOf(limiter, bucket, 7), 5);
      subject.pass(2000);
      assert.equal(await allowedOf(limiter, bucket, 7), 2);
      subject.pass(3_600_000);
      assert.equal(await allowedOf(limiter, bucket, 7), 5);
    });

    test('requests at once get no more than requests one after another', async () => {
      const decisions = await Promise.all(Array.from({ length: 50 }, () => limiter.take([address('a')])));
      assert.equal(decisions.filter(({ allowed }) => allowed).length, 5);
    });

    test('a decision tells what is left, when the bucket is full again and when to come back', async () => {
      const bucket = address('a');
      assert.deepEqual(await limiter.take([bucket]), {
        allowed: true,
        retryAfterSeconds: 0,
        buckets: [{ ...bucket, remaining: 4, resetSeconds: 1, exhausted: false }],
      });
      await allowedOf(limiter, bucket, 4);
      subject.pass(500);
      assert.deepEqual(await limiter.take([bucket]), {
        allowed: false,
        retryAfterSeconds: 1,
        buckets: [{ ...bucket, remaining: 0, resetSeconds: 5, exhausted: true }],
      });
    });

    test('a token that came in pieces is whole', async () => {
      // As floating-point numbers 0.295 + 0.705 and the like are a little less than 1.
      for (const piece of [295, 372]) {
        const bucket = { limit: 'address', identity: `${piece}`, rate: 1, burst: 2 };
        await limiter.take([bucket]);
        subject.pass(piece);
        await limiter.take([bucket]);
        subject.pass(1000 - piece);
        const { allowed, buckets } = await limiter.take([bucket]);
        assert.deepEqual([allowed, buckets[0]?.remaining], [true, 0]);
      }
    });

    test('without buckets everything is let through', async () => {
      assert.deepEqual(await limiter.take([]), { allowed: true, retryAfterSeconds: 0, buckets: [] });
    });

    test('a request that one bucket denies takes from none', async () => {
      const narrow = { ...address('a'), burst: 1 };
      const wide = { limit: 'key', identity: 'k', rate: 1, burst: 5 };
      await limiter.take([narrow]);
      for (let time = 0; time < 10; time += 1) {
        const { allowed, buckets } = await limiter.take([wide, narrow]);
        assert.equal(allowed, false);
        assert.deepEqual(buckets, [
          { ...wide, remaining: 5, resetSeconds: 0, exhausted: false },
          { ...narrow, remaining: 0, resetSeconds: 1, exhausted: true },
        ]);
      }
      assert.equal(await allowedOf(limiter, wide, 6), 5);
    });

    test('the longest wait of several buckets is the one that is told', async () => {
      const slow = { limit: 'key', identity: 'k', rate: 0.01, burst: 1 };
      const quick = { ...address('a'), burst: 1 };
      await limiter.take([slow, quick]);
      const { retryAfterSeconds, buckets } = await limiter.take([quick, slow]);
      assert.equal(retryAfterSeconds, 100);
      assert.ok(buckets.every(({ exhausted }) => exhausted));
    });

    test('the same identity under another limit, and texts that read alike when joined, are other buckets', async () => {
      const names = [
        ['address', 'a'],
        ['key', 'a'],
        ['a', 'b:c'],
        ['a:b', 'c'],
        ['a b', 'c'],
        ['a', 'b c'],
        ['', 'address:a'],
        ['key', ''],
        ['key', 'k'.repeat(5000)],
        ['key', `${'k'.repeat(4999)}l`],
      ];
      for (const [limit = '', identity = ''] of names) {
        assert.equal(
          await allowedOf(limiter, { limit, identity, rate: 1, burst: 2 }, 3),
          2,
          limit + identity,
        );
      }
    });

    test('a change of burst and rate holds from the next take on', async () => {
      assert.equal(await allowedOf(limiter, address('a'), 2), 2);
      assert.equal(await allowedOf(limiter, { ...address('a'), burst: 1 }, 3), 1);
      const { retryAfterSeconds } = await limiter.take([{ ...address('a'), rate: 0.1 }]);
      assert.equal(retryAfterSeconds, 10);
      assert.equal((await limiter.take([{ ...address('a'), rate: 0.25 }])).retryAfterSeconds, 4);
    });

    test('after the seconds that were told a request is let through, and not one second earlier', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...policies),
          fc.array(fc.nat(2000), { maxLength: 30 }),
          async (policy, pauses) => {
            await withSubject(open, async ({ limiter, pass }) => {
              const bucket = bucketOf(policy, 'a');
              for (const pause of pauses) {
                pass(pause);
                await limiter.take([bucket]);
              }
              await allowedOf(limiter, bucket, policy.burst);
              const { retryAfterSeconds } = await limiter.take([bucket]);
              assert.ok(Number.isInteger(retryAfterSeconds) && retryAfterSeconds >= 1);
              pass((retryAfterSeconds - 1) * 1000);
              assert.equal((await limiter.take([bucket])).allowed, false);
              pass(1000);
              assert.equal((await limiter.take([bucket])).allowed, true);
            });
          },
        ),
      );
    });

    test('over any span of time no identity gets more than burst + rate × time', async () => {
      await fc.assert(
        fc.asyncProperty(steps, async (steps) => {
          await withSubject(open, async (subject) => {
            await assertNobodyGetsMore(subject, steps);
          });
        }),
      );
    });

    test('every decision is that of buckets counted in whole numbers', async () => {
      await fc.assert(
        fc.asyncProperty(steps, async (steps) => {
          await withSubject(open, async ({ limiter, pass }) => {
            const model = createModel();
            for (const { milliseconds, buckets } of steps) {
              pass(milliseconds);
              const expected = model.take(milliseconds, buckets);
              assert.deepEqual(await limiter.take(buckets.map(asBucket)), expected);
            }
          });
        }),
      );
    });
  });
}

/** Takes as the steps say, and compares what each identity got between any two of its takes with what it may get. */
export async function assertNobodyGetsMore(
  { limiter, pass }: LimiterSubject,
  steps: readonly Step[],
): Promise<void> {
  let now = 0;
  const taken = new Map<string, { policy: Policy; times: number[] }>();
  for (const { milliseconds, buckets } of steps) {
    pass(milliseconds);
    now += milliseconds;
    if (!(await limiter.take(buckets.map(asBucket))).allowed) continue;
    for (const { policy, identity } of buckets) {
      const name = `${policy.limit} ${identity}`;
      const { times } = taken.get(name) ?? { times: [] };
      taken.set(name, { policy, times: [...times, now] });
    }
  }
  for (const [name, { policy, times }] of taken) {
    for (const [first, start] of times.entries()) {
      for (const [index, end] of times.slice(first).entries()) {
        // burst + rate × time, both sides multiplied until they are whole numbers
        const scale = policy.seconds * 1000;
        const most = policy.burst * scale + policy.tokens * (end - start);
        assert.ok((index + 1) * scale <= most, `${name}: ${index + 1} from ${start} to ${end}`);
      }
    }
  }
}

async function withSubject(
  open: () => Promise<LimiterSubject>,
  work: (subject: LimiterSubject) => Promise<void>,
): Promise<void> {
  const subject = await open();
  try {
    await work(subject);
  } finally {
    await subject.close();
  }
}

async function allowedOf(limiter: Limiter, bucket: Bucket, times: number): Promise<number> {
  let allowed = 0;
  for (let time = 0; time < times; time += 1) allowed += Number((await limiter.take([bucket])).allowed);
  return allowed;
}

function address(identity: string): Bucket {
  return { limit: 'address', identity, rate: 1, burst: 5 };
}

function asBucket({ policy, identity }: Step['buckets'][number]): Bucket {
  return bucketOf(policy, identity);
}

function bucketOf({ limit, tokens, seconds, burst }: Policy, identity: string): Bucket {
  return { limit, identity, rate: tokens / seconds, burst };
}

/** Token buckets without rounding: a token is `seconds × 1000` parts, and a millisecond brings `tokens` of them. */
function createModel() {
  let now = 0;
  const levels = new Map<string, { parts: number; at: number }>();
  return { take };

  function take(milliseconds: number, buckets: Step['buckets']): Decision {
    now += milliseconds;
    const filled = buckets.map(({ policy, identity }) => {
      const name = `${policy.limit} ${identity}`;
      const token = policy.seconds * 1000;
      const full = policy.burst * token;
      const { parts, at } = levels.get(name) ?? { parts: full, at: now };
      return {
        policy,
        identity,
        name,
        token,
        full,
        parts: Math.min(full, parts + (now - at) * policy.tokens),
      };
    });
    const allowed = filled.every(({ parts, token }) => parts >= token);
    let retryAfterSeconds = 0;
    const states = filled.map(({ policy, identity, name, token, full, parts }) => {
      const left = allowed ? parts - token : parts;
      if (allowed) levels.set(name, { parts: left, at: now });
      const perSecond = policy.tokens * 1000;
      if (parts < token)
        retryAfterSeconds = Math.max(retryAfterSeconds, Math.ceil((token - parts) / perSecond));
      return {
        ...bucketOf(policy, identity),
        remaining: Math.floor(left / token),
        resetSeconds: Math.ceil((full - left) / perSecond),
        exhausted: parts < token,
      };
    });
    return { allowed, retryAfterSeconds, buckets: states };
  }
}
