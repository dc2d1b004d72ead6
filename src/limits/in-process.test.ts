import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createInProcessLimiter } from './in-process.ts';
import { assertNobodyGetsMore, type LimiterSubject, limiterContract } from './limiter.contract.ts';
import type { Bucket, Limiter } from './limiter.ts';

limiterContract('in the process', async () => subjectOf());
limiterContract('in the process, after years', async () => subjectOf({ start: 100_000_000_000 }));

function subjectOf({ start = 0, maxIdentities = 1000 } = {}): LimiterSubject {
  let time = start;
  return {
    limiter: createInProcessLimiter({ maxIdentities, now: () => time, wallClock: () => time }),
    sinceMidnight: start % 86_400_000,
    pass: (milliseconds) => {
      time += milliseconds;
    },
    close: async () => {},
  };
}

function slow(identity: string): Bucket {
  return { limit: 'address', identity, rate: 0.001, burst: 3 };
}

async function drain(limiter: Limiter, bucket: Bucket): Promise<void> {
  for (let time = 0; time < bucket.burst; time += 1) await limiter.take([bucket]);
}

describe('a flood of identities', () => {
  test('does not refill the bucket of one that is active', async () => {
    const { limiter, pass } = subjectOf({ maxIdentities: 100 });
    await drain(limiter, slow('active'));
    for (let index = 0; index < 10_000; index += 1) await limiter.take([slow(`flood ${index}`)]);
    assert.equal((await limiter.take([slow('active')])).allowed, false);
    pass(1_000_000);
    const { allowed, buckets } = await limiter.take([slow('active')]);
    assert.equal(allowed, true);
    assert.equal(buckets[0]?.remaining, 0);
  });

  test('leaves what an active identity gets as it is', async () => {
    const alone = subjectOf();
    const flooded = subjectOf({ maxIdentities: 100 });
    await flooded.limiter.take([slow('active')]);
    await alone.limiter.take([slow('active')]);
    for (let index = 0; index < 2000; index += 1) {
      alone.pass(777);
      flooded.pass(777);
      await flooded.limiter.take([slow(`flood ${index}`)]);
      assert.deepEqual(
        await flooded.limiter.take([slow('active')]),
        await alone.limiter.take([slow('active')]),
      );
    }
  });

  test('of buckets that are full again leaves room for everybody', async () => {
    const { limiter, pass } = subjectOf({ maxIdentities: 10 });
    for (let index = 0; index < 10_000; index += 1) {
      pass(1000);
      const bucket = { limit: 'address', identity: `flood ${index}`, rate: 0.5, burst: 3 };
      assert.equal((await limiter.take([bucket])).buckets[0]?.remaining, 2);
    }
  });

  test('that finds no room shares buckets, and gets room when there is some', async () => {
    const { limiter, pass } = subjectOf({ maxIdentities: 1 });
    await limiter.take([slow('first')]);
    let denied = 0;
    for (let index = 0; index < 10_000; index += 1) {
      denied += Number(!(await limiter.take([slow(`flood ${index}`)])).allowed);
    }
    assert.ok(denied > 0 && denied >= 10_000 - 1024 * 3, `${denied}`);
    pass(4_000_000);
    for (let index = 0; index < 10; index += 1) {
      assert.equal((await limiter.take([slow(`flood ${index}`)])).buckets[0]?.remaining, 2);
    }
  });

  test('gives an identity that moves into a bucket of its own no second burst', async () => {
    const { limiter, pass } = subjectOf({ maxIdentities: 1 });
    const brief = { limit: 'address', identity: 'brief', rate: 1, burst: 1 };
    await limiter.take([brief]);
    await drain(limiter, slow('moving'));
    assert.equal((await limiter.take([slow('moving')])).allowed, false);
    pass(10_000);
    // The only place is free, and the shared bucket is still empty.
    assert.equal((await limiter.take([slow('moving')])).allowed, false);
    pass(1_000_000);
    assert.equal((await limiter.take([slow('moving')])).buckets[0]?.remaining, 0);
  });

  test('fills no bucket of a slow limit at the rate of a quick one', async () => {
    const { limiter, pass } = subjectOf({ maxIdentities: 1 });
    await limiter.take([{ ...slow('first'), rate: 1e-9 }]);
    for (let index = 0; index < 100; index += 1) await drain(limiter, slow(`drained ${index}`));
    // Many times as many as there are shared buckets.
    for (let index = 0; index < 5000; index += 1) {
      await limiter.take([{ limit: 'quick', identity: `${index}`, rate: 1000, burst: 1000 }]);
      if (index % 1000 === 0) pass(1000);
    }
    for (let index = 0; index < 100; index += 1) {
      assert.equal((await limiter.take([slow(`drained ${index}`)])).allowed, false);
    }
  });

  test('never lets anybody through more often, however few places there are', async () => {
    const policies = [
      { limit: 'address', tokens: 1, seconds: 1, burst: 3 },
      { limit: 'key', tokens: 1, seconds: 60, burst: 2 },
      { limit: 'day', tokens: 0, seconds: 1, burst: 3 },
    ];
    const bucket = fc.record({
      policy: fc.constantFrom(...policies),
      identity: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      cost: fc.nat(3),
      need: fc.constant(0),
    });
    const step = fc.record({
      milliseconds: fc.oneof(fc.constant(0), fc.nat(3000), fc.nat(100_000), fc.nat(100_000_000)),
      buckets: fc.uniqueArray(bucket, {
        maxLength: 2,
        selector: ({ policy, identity }) => `${policy.limit} ${identity}`,
      }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(step, { maxLength: 80 }),
        async (maxIdentities, steps) => {
          await assertNobodyGetsMore(subjectOf({ maxIdentities }), steps);
        },
      ),
    );
  });
});

describe('a daily bucket that the process does not know', () => {
  const bucket: Bucket = { limit: 'day', identity: 'a', rate: 'daily', burst: 100, cost: 10 };

  test('has what its identity has not used of the day, which is asked once a day', async () => {
    let time = 0;
    const asked: string[] = [];
    const usedToday = async ({ identity }: Bucket) => {
      asked.push(identity);
      return 70;
    };
    const clocks = { now: () => time, wallClock: () => time };
    const limiter = createInProcessLimiter({ ...clocks, usedToday });
    const decisions = await Promise.all([limiter.take([bucket]), limiter.take([bucket])]);
    assert.deepEqual(
      decisions.map(({ buckets }) => buckets[0]?.remaining),
      [20, 10],
    );
    await limiter.take([bucket]);
    assert.equal((await limiter.take([bucket])).allowed, false);
    assert.deepEqual(asked, ['a', 'a'], 'both takes that came at once, and none later');
    time = 86_400_000;
    assert.equal((await limiter.take([bucket])).buckets[0]?.remaining, 90);
  });

  test('denies where more was used than it holds, and is not asked of a steady one', async () => {
    const limiter = createInProcessLimiter({ usedToday: async () => 1000 });
    assert.equal((await limiter.take([bucket])).allowed, false);
    assert.equal((await limiter.take([slow('a')])).allowed, true);
  });

  test('rejects the take where nobody can tell, and takes nothing', async () => {
    let isOut = true;
    const usedToday = async () => {
      if (isOut) throw new Error('out');
      return 0;
    };
    const limiter = createInProcessLimiter({ usedToday });
    await assert.rejects(limiter.take([slow('a'), bucket]), /out/);
    isOut = false;
    const { buckets } = await limiter.take([slow('a'), bucket]);
    assert.deepEqual(
      buckets.map(({ remaining }) => remaining),
      [2, 90],
    );
  });
});

test('what is given back to a bucket that is full takes no place', async () => {
  const { limiter } = subjectOf({ maxIdentities: 1 });
  await limiter.settle([slow('full')], 0);
  assert.equal((await limiter.take([slow('first')])).buckets[0]?.remaining, 2);
  assert.equal((await limiter.take([slow('first')])).buckets[0]?.remaining, 1);
  await drain(limiter, slow('second'));
  assert.equal((await limiter.take([slow('first')])).buckets[0]?.remaining, 0);
});

describe('settings that make no sense', () => {
  const bucket = { limit: 'address', identity: 'a', rate: 1, burst: 1 };

  for (const rate of [0, -1, Number.NaN, Infinity]) {
    test(`a rate of ${rate} is refused`, async () => {
      await assert.rejects(createInProcessLimiter().take([{ ...bucket, rate }]), {
        name: 'RangeError',
        message: `The rate of the limit address must be above 0, not ${rate}.`,
      });
    });
  }

  for (const burst of [0, 0.5, Number.NaN, Infinity]) {
    test(`a burst of ${burst} is refused, and nothing is taken`, async () => {
      const limiter = createInProcessLimiter();
      await assert.rejects(limiter.take([bucket, { ...bucket, limit: 'key', burst }]), {
        name: 'RangeError',
        message: `The burst of the limit key must be at least 1, not ${burst}.`,
      });
      assert.equal((await limiter.take([bucket])).allowed, true);
    });
  }

  for (const cost of [-1, Number.NaN, Infinity]) {
    test(`a cost of ${cost} is refused`, async () => {
      await assert.rejects(createInProcessLimiter().take([{ ...bucket, cost }]), {
        name: 'RangeError',
        message: `The cost under the limit address must be at least 0, not ${cost}.`,
      });
    });
  }

  for (const maxIdentities of [0, 1.5, Number.NaN]) {
    test(`${maxIdentities} places are refused`, () => {
      assert.throws(() => createInProcessLimiter({ maxIdentities }), { name: 'RangeError' });
    });
  }
});

test('by its own clock a bucket that takes months to fill stays empty', async () => {
  const limiter = createInProcessLimiter();
  const bucket = { limit: 'address', identity: 'a', rate: 1e-9, burst: 2 };
  await drain(limiter, bucket);
  assert.equal((await limiter.take([bucket])).allowed, false);
});
