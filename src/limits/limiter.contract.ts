/** The contract of limiters as a suite for every implementation, under a clock that stands still until it is moved. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Bucket, Decision, Limiter } from './limiter.ts';
import {
  type Asked,
  asBucket,
  bucketOf,
  createModel,
  DAY_MILLISECONDS,
  dayOf,
  type Policy,
} from './limiter-model.contract.ts';

export interface LimiterSubject {
  limiter: Limiter;
  /** Milliseconds since midnight in UTC when the subject was opened. */
  sinceMidnight: number;
  /** Moves the clocks by which the limiter fills its buckets. */
  pass(milliseconds: number): void;
  /** Ends the subject; what it knew of buckets must not be found by the next. */
  close(): Promise<void>;
}

/** What happens at one moment, some time after the step before. */
interface Step {
  milliseconds: number;
  buckets: Asked[];
  /** The true cost, if it turns out at once to be another. */
  settled: number | null;
}

const policies: Policy[] = [
  { limit: 'address', tokens: 1, seconds: 1, burst: 5 },
  { limit: 'key', tokens: 10, seconds: 3, burst: 20 },
  { limit: 'site', tokens: 3, seconds: 7, burst: 2 },
  { limit: 'hour', tokens: 1, seconds: 3600, burst: 1 },
  { limit: 'minute', tokens: 1000, seconds: 60, burst: 1000 },
  { limit: 'day', tokens: 0, seconds: 1, burst: 30 },
];

const oneBucket: fc.Arbitrary<Asked> = fc.record({
  policy: fc.constantFrom(...policies),
  identity: fc.constantFrom('a', 'b'),
  cost: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.nat(40)),
  need: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(40)),
});

const stepsThat = (settled: fc.Arbitrary<number | null>): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      milliseconds: fc.oneof(
        fc.constant(0),
        fc.nat(500),
        fc.nat(5000),
        fc.nat(10_000_000),
        fc.nat(2 * DAY_MILLISECONDS),
      ),
      buckets: fc.uniqueArray(oneBucket, {
        maxLength: 4,
        selector: ({ policy, identity }) => `${policy.limit} ${identity}`,
      }),
      settled,
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

    test('a request takes what it costs from each bucket, or nothing from any', async () => {
      const [wide, narrow] = [
        { limit: 'minute', identity: 'c', rate: 10, burst: 100, cost: 60 },
        { limit: 'site', identity: 's', rate: 1, burst: 50, cost: 30 },
      ];
      const first = await limiter.take([wide, narrow]);
      assert.deepEqual(remaining(first), [40, 20]);
      const denied = await limiter.take([wide, narrow]);
      assert.deepEqual([denied.allowed, denied.retryAfterSeconds, remaining(denied)], [false, 10, [40, 20]]);
      assert.equal((await limiter.take([{ ...wide, cost: 40 }])).allowed, true);
      // Nothing is a cost as well, which an empty bucket has.
      assert.equal((await limiter.take([{ ...wide, cost: 0 }])).allowed, true);
    });

    test('what only needs to be there is asked for and not taken', async () => {
      const asked = { ...address('a'), cost: 0, need: 2 };
      const decisions = await Promise.all(Array.from({ length: 20 }, () => limiter.take([asked])));
      assert.ok(decisions.every(({ allowed, buckets }) => allowed && buckets[0]?.remaining === 5));
      await allowedOf(limiter, address('a'), 4);
      assert.deepEqual(await limiter.take([asked]), {
        allowed: false,
        retryAfterSeconds: 1,
        buckets: [{ ...asked, remaining: 1, resetSeconds: 4, exhausted: true }],
      });
      // What is more than the bucket can hold needs a full one.
      assert.equal((await limiter.take([{ ...asked, identity: 'b', need: 100 }])).allowed, true);
      await limiter.take([address('b')]);
      assert.equal((await limiter.take([{ ...asked, identity: 'b', need: 100 }])).allowed, false);
      assert.equal((await limiter.take([{ ...asked, cost: 1 }])).allowed, false);
    });

    test('what costs more than the bucket can hold takes all of a full one', async () => {
      const bucket = { limit: 'minute', identity: 'c', rate: 1, burst: 10, cost: 1000 };
      assert.deepEqual(remaining(await limiter.take([bucket])), [0]);
      subject.pass(9000);
      assert.deepEqual((await limiter.take([bucket])).retryAfterSeconds, 1);
      subject.pass(1000);
      assert.equal((await limiter.take([bucket])).allowed, true);
    });

    test('what was taken too much comes back, up to a full bucket', async () => {
      const bucket = { limit: 'minute', identity: 'c', rate: 1, burst: 100, cost: 80 };
      await limiter.take([bucket]);
      await limiter.settle([bucket], 30);
      assert.deepEqual(remaining(await limiter.take([{ ...bucket, cost: 0 }])), [70]);
      subject.pass(29_000);
      await limiter.settle([bucket], 0);
      assert.deepEqual(remaining(await limiter.take([{ ...bucket, cost: 0 }])), [100]);
      // Of what could not be taken whole, no more comes back than was taken.
      await limiter.take([{ ...bucket, cost: 1000 }]);
      await limiter.settle([{ ...bucket, cost: 1000 }], 0);
      assert.deepEqual(remaining(await limiter.take([{ ...bucket, cost: 0 }])), [100]);
    });

    test('what was taken too little is taken later, and nobody passes before it has come in', async () => {
      const bucket = { limit: 'minute', identity: 'c', rate: 1, burst: 100, cost: 10 };
      await limiter.take([bucket]);
      await limiter.settle([bucket], 150);
      const denied = await limiter.take([{ ...bucket, cost: 1 }]);
      assert.deepEqual([denied.allowed, denied.retryAfterSeconds, remaining(denied)], [false, 51, [0]]);
      assert.deepEqual([denied.buckets[0]?.resetSeconds], [150]);
      subject.pass(51_000);
      assert.equal((await limiter.take([{ ...bucket, cost: 1 }])).allowed, true);
    });

    test('a daily bucket is full at midnight in UTC, and gains nothing before', async () => {
      const bucket = { limit: 'day', identity: 'c', rate: 'daily', burst: 100, cost: 60 } as const;
      const toMidnight = DAY_MILLISECONDS - (subject.sinceMidnight % DAY_MILLISECONDS);
      assert.equal((await limiter.take([bucket])).allowed, true);
      subject.pass(toMidnight - 1500);
      const denied = await limiter.take([bucket]);
      assert.deepEqual([denied.allowed, denied.retryAfterSeconds, remaining(denied)], [false, 2, [40]]);
      assert.equal(denied.buckets[0]?.resetSeconds, 2);
      subject.pass(1499);
      assert.equal((await limiter.take([bucket])).allowed, false);
      subject.pass(1);
      assert.deepEqual(remaining(await limiter.take([bucket])), [40]);
      subject.pass(10 * DAY_MILLISECONDS);
      assert.deepEqual(remaining(await limiter.take([bucket])), [40]);
    });

    test('of a daily bucket what was used today is known when its burst changes', async () => {
      const bucket = { limit: 'day', identity: 'c', rate: 'daily', burst: 100, cost: 90 } as const;
      await limiter.take([bucket]);
      assert.deepEqual(remaining(await limiter.take([{ ...bucket, burst: 500, cost: 0 }])), [410]);
      assert.equal((await limiter.take([{ ...bucket, burst: 50, cost: 1 }])).allowed, false);
      await limiter.settle([{ ...bucket, burst: 500 }], 20);
      assert.deepEqual(remaining(await limiter.take([{ ...bucket, burst: 50, cost: 0 }])), [30]);
    });

    test('after the seconds that were told a request is let through, and not one second earlier', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...policies.filter(({ tokens }) => tokens > 0)),
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
        fc.asyncProperty(stepsThat(fc.constant(null)), async (steps) => {
          await withSubject(open, async (subject) => {
            await assertNobodyGetsMore(subject, steps);
          });
        }),
      );
    });

    test('every decision is that of buckets counted in whole numbers', async () => {
      await fc.assert(
        fc.asyncProperty(stepsThat(fc.option(fc.nat(60))), async (steps) => {
          await withSubject(open, async ({ limiter, pass, sinceMidnight }) => {
            const model = createModel(sinceMidnight);
            for (const { milliseconds, buckets, settled } of steps) {
              pass(milliseconds);
              const expected = model.take(milliseconds, buckets);
              const decision = await limiter.take(buckets.map(asBucket));
              assert.deepEqual(decision, expected);
              if (!decision.allowed || settled === null) continue;
              await limiter.settle(buckets.map(asBucket), settled);
              model.settle(buckets, settled);
            }
          });
        }),
      );
    });
  });
}

/** Takes as the steps say, and compares what each identity got between any two of its takes with what it may get. */
export async function assertNobodyGetsMore(
  { limiter, pass, sinceMidnight }: LimiterSubject,
  steps: readonly Pick<Step, 'milliseconds' | 'buckets'>[],
): Promise<void> {
  let now = sinceMidnight;
  const taken = new Map<string, { policy: Policy; takes: { at: number; cost: number }[] }>();
  for (const { milliseconds, buckets } of steps) {
    pass(milliseconds);
    now += milliseconds;
    if (!(await limiter.take(buckets.map(asBucket))).allowed) continue;
    for (const { policy, identity, cost } of buckets) {
      const name = `${policy.limit} ${identity}`;
      const { takes } = taken.get(name) ?? { takes: [] };
      taken.set(name, { policy, takes: [...takes, { at: now, cost: Math.min(cost, policy.burst) }] });
    }
  }
  for (const [name, { policy, takes }] of taken) {
    for (const [first, { at: start }] of takes.entries()) {
      let sum = 0;
      for (const { at: end, cost } of takes.slice(first)) {
        if (policy.tokens === 0 && dayOf(end) !== dayOf(start)) break;
        sum += cost;
        // burst + rate × time, both sides multiplied until they are whole numbers
        const scale = policy.seconds * 1000;
        const most = policy.burst * scale + policy.tokens * (end - start);
        assert.ok(sum * scale <= most, `${name}: ${sum} from ${start} to ${end}`);
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

function remaining({ buckets }: Decision): number[] {
  return buckets.map((bucket) => bucket.remaining);
}

function address(identity: string): Bucket {
  return { limit: 'address', identity, rate: 1, burst: 5 };
}
