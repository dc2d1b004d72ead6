/** The limiter on Redis: the contract against a real one, and what only servers that share it can do wrong. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { openConnection, type RedisConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import { type LimiterSubject, limiterContract } from './limiter.contract.ts';
import type { Bucket, Limiter } from './limiter.ts';
import { createRedisLimiter, type RedisLimiterOptions } from './redis.ts';

const DAY_MILLISECONDS = 86_400_000;
/** Keys expire by the engine's clock, and the clock of these tests stands still. */
const KEPT = 3_600_000;
const STANDING = { now: () => 0, keepMilliseconds: KEPT };

describe('the limiter on Redis', { skip: skipWithoutRedis }, () => {
  let started: Promise<RedisServer> | null = null;
  let connected: Promise<RedisConnection> | null = null;
  const server = () => (started ??= startRedis());
  const connection = () => (connected ??= server().then((redis) => connect(redis)));
  after(async () => {
    (await connected)?.close();
    await (await started)?.stop();
  });

  let subjects = 0;
  const subjectAt = (start: number) => async (): Promise<LimiterSubject> => {
    let time = start;
    subjects += 1;
    const options = { now: () => time, keepMilliseconds: KEPT };
    return {
      limiter: createRedisLimiter(await connection(), `test${subjects}:`, options),
      sinceMidnight: start % DAY_MILLISECONDS,
      pass: (milliseconds) => {
        time += milliseconds;
      },
      close: async () => {},
    };
  };
  limiterContract('on Redis', subjectAt(0));
  limiterContract('on Redis, after years', subjectAt(100_000_000_000));

  /** So many limiters of servers that share what begins with a prefix of their own, each with its connection. */
  async function replicas(context: TestContext, options: RedisLimiterOptions[]): Promise<Limiter[]> {
    subjects += 1;
    const prefix = `test${subjects}:`;
    return Promise.all(
      options.map(async (one) => {
        const own = await connect(await server());
        context.after(() => own.close());
        return createRedisLimiter(own, prefix, one);
      }),
    );
  }

  test('replicas get no more together than one, at the same moment', async (context) => {
    const limiters = await replicas(context, [STANDING, STANDING, STANDING]);
    const bucket = { limit: 'key', identity: 'a', rate: 1, burst: 100 };
    const takes = limiters.flatMap((limiter) => Array.from({ length: 200 }, () => limiter.take([bucket])));
    const decisions = await Promise.all(takes);
    assert.equal(decisions.filter(({ allowed }) => allowed).length, 100);
  });

  test('by the clock of the engine they get burst + rate × time', async (context) => {
    const limiters = await replicas(context, [{}, {}, {}]);
    const bucket = { limit: 'key', identity: 'a', rate: 200, burst: 20 };
    let allowed = 0;
    const begun = performance.now();
    await Promise.all(
      limiters.map(async (limiter) => {
        for (let asked = 0; asked < 500; asked += 1) {
          const decision = await limiter.take([bucket]);
          allowed += Number(decision.allowed);
        }
      }),
    );
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(allowed <= 20 + 200 * seconds, `${allowed} in ${seconds} s`);
    assert.ok(allowed >= 20, `${allowed}`);
    const { retryAfterSeconds } = await limiters[0]!.take([{ ...bucket, rate: 0.01, cost: 20 }]);
    assert.ok(retryAfterSeconds > 1800 && retryAfterSeconds <= 2000, `${retryAfterSeconds}`);
  });

  test('a key is gone when its bucket is full, and one of a day after the day', async (context) => {
    const [limiter] = (await replicas(context, [{}])) as [Limiter];
    const redis = await server();
    const steady = { limit: 'key', identity: 'steady', rate: 0.1, burst: 10, cost: 5 };
    const daily = { limit: 'day', identity: 'daily', rate: 'daily', burst: 10 } as const;
    await limiter.take([steady, daily]);
    const left = async (identity: string) => {
      const [key = ''] = await redis.command<string[]>('KEYS', `test${subjects}:*${identity}`);
      return Number(await redis.command('PTTL', key));
    };
    const steadyLeft = await left('steady');
    assert.ok(steadyLeft > 40_000 && steadyLeft <= 51_000, `${steadyLeft}`);
    const toMidnight = DAY_MILLISECONDS - (Date.now() % DAY_MILLISECONDS);
    const dailyLeft = await left('daily');
    assert.ok(Math.abs(dailyLeft - toMidnight - 3_600_000) < 60_000, `${dailyLeft}`);
    await limiter.settle([steady], 0);
    assert.deepEqual(await redis.command('KEYS', `test${subjects}:*steady`), []);
  });

  test('a bucket that takes longer than anybody lives to fill is kept', async (context) => {
    const [limiter] = (await replicas(context, [{}])) as [Limiter];
    const bucket = { limit: 'key', identity: 'a', rate: 1e-300, burst: 1 };
    assert.equal((await limiter.take([bucket])).allowed, true);
    assert.equal((await limiter.take([bucket])).allowed, false);
  });

  test('a clock that is set back fills no bucket and gives no day twice', async (context) => {
    let time = 10 * DAY_MILLISECONDS;
    const [limiter] = (await replicas(context, [{ now: () => time, keepMilliseconds: KEPT }])) as [Limiter];
    const steady = { limit: 'key', identity: 'a', rate: 1, burst: 10, cost: 10 };
    const daily = { limit: 'day', identity: 'a', rate: 'daily', burst: 10, cost: 6 } as const;
    await limiter.take([steady, daily]);
    time -= 5000;
    assert.equal((await limiter.take([steady])).allowed, false);
    assert.equal((await limiter.take([daily])).allowed, false);
    await limiter.settle([daily], 5);
    // Those 5 seconds again: nobody waits an hour because a clock was an hour ahead.
    time += 5000;
    assert.deepEqual(
      (
        await limiter.take([
          { ...steady, cost: 0 },
          { ...daily, cost: 0 },
        ])
      ).buckets.map(({ remaining }) => remaining),
      [5, 5],
    );
  });

  describe('what was used of a day', () => {
    const bucket: Bucket = { limit: 'day', identity: 'a', rate: 'daily', burst: 100, cost: 10 };

    test('is asked by whoever comes first, and by nobody later', async (context) => {
      const asked: string[] = [];
      const options = (used: number) => ({
        ...STANDING,
        usedToday: async ({ identity }: Bucket) => {
          asked.push(identity);
          return used;
        },
      });
      const [one, two] = (await replicas(context, [options(70), options(0)])) as [Limiter, Limiter];
      assert.equal((await one.take([bucket])).buckets[0]?.remaining, 20);
      assert.equal((await two.take([bucket])).buckets[0]?.remaining, 10);
      await one.settle([bucket], 0);
      assert.equal((await two.take([bucket])).buckets[0]?.remaining, 10);
      assert.deepEqual(asked, ['a']);
    });

    test('stands as the first has it of those that ask at the same time', async (context) => {
      const asked = Promise.withResolvers<void>();
      const told = Promise.withResolvers<number>();
      const slowly = async () => {
        asked.resolve();
        return told.promise;
      };
      const [slow, quick] = (await replicas(context, [
        { ...STANDING, usedToday: slowly },
        { ...STANDING, usedToday: async () => 70 },
      ])) as [Limiter, Limiter];
      const take = slow.take([bucket]);
      await asked.promise;
      assert.equal((await quick.take([bucket])).buckets[0]?.remaining, 20);
      told.resolve(0);
      assert.equal((await take).buckets[0]?.remaining, 10);
    });

    test('is remembered where it denies, is asked of each bucket, and of no steady one', async (context) => {
      const asked: string[] = [];
      const usedToday = async ({ limit }: Bucket) => {
        asked.push(limit);
        return 95;
      };
      const [limiter] = (await replicas(context, [{ ...STANDING, usedToday }])) as [Limiter];
      const other = { ...bucket, limit: 'other', burst: 1000 };
      const steady = { limit: 'key', identity: 'a', rate: 1, burst: 1 };
      for (const time of [1, 2]) {
        const { allowed, buckets } = await limiter.take([steady, bucket, other]);
        assert.deepEqual(
          [allowed, buckets.map(({ remaining }) => remaining)],
          [false, [1, 5, 905]],
          `${time}`,
        );
      }
      assert.deepEqual(asked, ['day', 'other']);
    });

    test('that nobody can tell rejects the take, which takes nothing', async (context) => {
      let isOut = true;
      const usedToday = async () => {
        if (isOut) throw new Error('out');
        return 0;
      };
      const [limiter] = (await replicas(context, [{ ...STANDING, usedToday }])) as [Limiter];
      const steady = { limit: 'key', identity: 'a', rate: 1, burst: 3 };
      await assert.rejects(limiter.take([steady, bucket]), /out/);
      isOut = false;
      const { buckets } = await limiter.take([steady, bucket]);
      assert.deepEqual(
        buckets.map(({ remaining }) => remaining),
        [2, 90],
      );
    });

    test('is left to be asked when Redis has lost what was taken before it was settled', async (context) => {
      let used = 0;
      const options = { ...STANDING, usedToday: async () => used };
      const [limiter] = (await replicas(context, [options])) as [Limiter];
      await limiter.take([bucket]);
      await (await server()).command('FLUSHALL');
      used = 7;
      await limiter.settle([bucket], 7);
      assert.equal((await limiter.take([bucket])).buckets[0]?.remaining, 83);
    });
  });

  test('buckets that make no sense are refused', async (context) => {
    const [limiter] = (await replicas(context, [{}])) as [Limiter];
    const bucket = { limit: 'key', identity: 'a', rate: 0, burst: 1 };
    await assert.rejects(limiter.take([bucket]), { name: 'RangeError' });
  });
});

async function connect(redis: RedisServer): Promise<RedisConnection> {
  return openConnection(parseRedisLocation(redis.url()), 5000);
}
