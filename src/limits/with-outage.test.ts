/** Limits through outages: by doubles that are out when they are told, and on a real Redis that is killed and paused. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { AppError } from '../errors.ts';
import { openConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import { createInProcessLimiter } from './in-process.ts';
import { createInProcessSlots } from './in-process-slots.ts';
import type { Bucket } from './limiter.ts';
import { LimitsOutage } from './limits-outage.ts';
import { createRedisLimiter } from './redis.ts';
import { createRedisSlots } from './redis-slots.ts';
import { type Limits, type OutageOptions, withOutage } from './with-outage.ts';

/** So slow that nothing comes back while a test runs. */
const bucket: Bucket = { limit: 'key', identity: 'a', rate: 1e-6, burst: 3 };

type Own = OutageOptions['own'];
const local = (): Own => ({ limiter: () => createInProcessLimiter(), slots: createInProcessSlots() });

/** Limits that can be told to be out, and what was told of outages. */
function subject(context: TestContext, own: Own) {
  const inner = { limiter: createInProcessLimiter(), slots: createInProcessSlots() };
  let cause: Error | null = null;
  let asked = 0;
  const unlessOut = async <Taken>(ask: () => Promise<Taken>): Promise<Taken> => {
    asked += 1;
    if (cause !== null) throw new LimitsOutage(cause);
    return ask();
  };
  const shared: Limits = {
    limiter: {
      take: (buckets) => unlessOut(() => inner.limiter.take(buckets)),
      settle: (buckets, cost) => inner.limiter.settle(buckets, cost),
    },
    slots: { take: (identity, most) => unlessOut(() => inner.slots.take(identity, most)) },
  };
  return {
    ...watched(context, shared, own),
    inner,
    asked: () => asked,
    setOut(isOut: boolean) {
      cause = isOut ? new Error('gone') : null;
    },
  };
}

function watched(context: TestContext, shared: Limits, own: Own) {
  const begun: unknown[] = [];
  let ended = 0;
  let waiting = Promise.withResolvers<void>();
  const limits = withOutage({
    shared,
    own,
    pauseMilliseconds: 10,
    onBegin: (cause) => begun.push(cause),
    onEnd: (milliseconds) => {
      assert.ok(milliseconds > 0);
      ended += 1;
      waiting.resolve();
      waiting = Promise.withResolvers<void>();
    },
  });
  context.after(() => limits.close());
  return { limits, begun, ended: () => ended, over: () => waiting.promise };
}

async function allowedOf({ limiter }: Limits, times: number, of = bucket): Promise<number> {
  const decisions = await Promise.all(Array.from({ length: times }, () => limiter.take([of])));
  return decisions.filter(({ allowed }) => allowed).length;
}

const isRefusal = (error: unknown) => error instanceof AppError && error.code === 'store_unavailable';

describe('limits through an outage', () => {
  test('are those that are shared as long as there is none', async (context) => {
    const { limits, inner, begun } = subject(context, local());
    assert.equal(await allowedOf(limits, 5), 3);
    assert.equal(await allowedOf(inner, 5), 0);
    await limits.limiter.settle([bucket], 0);
    assert.equal(await allowedOf(inner, 5), 1);
    assert.deepEqual(begun, []);
  });

  test('are those of the server, which nobody waits for, until a trial succeeds', async (context) => {
    const { limits, inner, begun, ended, over, asked, setOut } = subject(context, local());
    assert.equal(await allowedOf(limits, 2), 2);
    setOut(true);
    // All of them are told at the same time, and one begins the outage.
    assert.equal(await allowedOf(limits, 5), 3);
    const before = asked();
    assert.equal(await allowedOf(limits, 5), 0);
    assert.equal(asked(), before, 'without asking');
    assert.deepEqual([begun, ended()], [[new Error('gone')], 0]);
    const isOver = over();
    setOut(false);
    await isOver;
    assert.equal(await allowedOf(limits, 5), 1, 'what the shared ones have left');
    assert.equal(await allowedOf(inner, 5), 0);
    assert.deepEqual([begun.length, ended()], [1, 1]);
  });

  test('that are refused reject every take, and settle nothing', async (context) => {
    const { limits, over, setOut } = subject(context, null);
    const settled = [bucket];
    await limits.limiter.take(settled);
    setOut(true);
    await assert.rejects(limits.limiter.take([bucket]), isRefusal);
    await assert.rejects(limits.slots.take('a', 1), isRefusal);
    assert.equal((await limits.limiter.take([])).allowed, true, 'what nothing limits');
    await limits.limiter.settle(settled, 0);
    const isOver = over();
    setOut(false);
    await isOver;
    assert.equal(await allowedOf(limits, 5), 2);
    assert.notEqual(await limits.slots.take('a', 1), null);
  });

  test('what was taken from own buckets is given back to them, and the shared ones gain nothing', async (context) => {
    const { limits, over, setOut } = subject(context, local());
    assert.equal(await allowedOf(limits, 3), 3);
    setOut(true);
    const taken = [bucket];
    assert.equal((await limits.limiter.take(taken)).allowed, true);
    assert.equal(await allowedOf(limits, 5), 2);
    await limits.limiter.settle(taken, 0);
    assert.equal(await allowedOf(limits, 5), 1);
    const isOver = over();
    setOut(false);
    await isOver;
    await limits.limiter.settle(taken, 0);
    assert.equal(await allowedOf(limits, 5), 0);
  });

  test('outages that follow each other give no burst each', async (context) => {
    const { limits, over, setOut } = subject(context, local());
    let allowed = 0;
    for (let time = 0; time < 5; time += 1) {
      setOut(true);
      allowed += await allowedOf(limits, 5);
      const isOver = over();
      setOut(false);
      await isOver;
    }
    assert.equal(allowed, 3);
  });

  test('slots of the server are held through outages', async (context) => {
    const { limits, begun, over, setOut } = subject(context, local());
    const shared = await limits.slots.take('a', 1);
    setOut(true);
    const own = await limits.slots.take('a', 1);
    assert.ok(shared !== null && own !== null);
    assert.equal(await limits.slots.take('a', 1), null);
    await shared.release();
    assert.equal(await limits.slots.take('a', 1), null);
    const isOver = over();
    setOut(false);
    await isOver;
    assert.notEqual(await limits.slots.take('a', 1), null);
    setOut(true);
    assert.equal(await limits.slots.take('a', 1), null);
    await own.release();
    assert.notEqual(await limits.slots.take('a', 1), null);
    assert.equal(begun.length, 2);
  });

  test('what is no outage is told as it is', async (context) => {
    const { limits, begun } = subject(context, local());
    await assert.rejects(limits.limiter.take([{ ...bucket, rate: 0 }]), RangeError);
    assert.deepEqual(begun, []);
  });

  test('one that is told late, when the outage is over, begins no other', async (context) => {
    const late = Promise.withResolvers<never>();
    let takes = 0;
    const inner = createInProcessLimiter();
    const shared: Limits = {
      limiter: {
        settle: async () => undefined,
        take(buckets) {
          takes += 1;
          if (takes === 1) return late.promise;
          return takes === 2 ? Promise.reject(new LimitsOutage(new Error('gone'))) : inner.take(buckets);
        },
      },
      slots: createInProcessSlots(),
    };
    const { limits, begun, over } = watched(context, shared, local());
    const slow = limits.limiter.take([bucket]);
    const isOver = over();
    await limits.limiter.take([bucket]);
    await isOver;
    late.reject(new LimitsOutage(new Error('gone')));
    assert.equal((await slow).allowed, true);
    assert.equal(begun.length, 1);
  });
});

describe('limits on a Redis that is out', { skip: skipWithoutRedis, timeout: 60_000 }, () => {
  let started: Promise<RedisServer> | null = null;
  const server = () => (started ??= startRedis('--appendonly', 'yes', '--appendfsync', 'always'));
  after(async () => (await started)?.stop());

  async function onRedis(context: TestContext, own: Own) {
    const location = parseRedisLocation((await server()).url());
    const connection = await openConnection(location, 300);
    const slots = createRedisSlots(connection, location.prefix, {
      leaseMilliseconds: 10_000,
      onFailure: assert.ifError,
    });
    context.after(async () => {
      await slots.close();
      connection.close();
    });
    return watched(context, { limiter: createRedisLimiter(connection, location.prefix), slots }, own);
  }

  const outages: [string, (redis: RedisServer) => unknown, (redis: RedisServer) => unknown][] = [
    ['killed', (redis) => redis.kill(), (redis) => redis.start()],
    ['standing still', (redis) => redis.pause(), (redis) => redis.resume()],
    [
      'read-only',
      (redis) => redis.command('REPLICAOF', '127.0.0.1', '1'),
      (redis) => redis.command('REPLICAOF', 'NO', 'ONE'),
    ],
    [
      'full',
      (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
      (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
    ],
  ];
  for (const [name, stop, start] of outages) {
    test(`${name}: own buckets take their place, until it is back with what it knew`, async (context) => {
      const redis = await server();
      const { limits, begun, over } = await onRedis(context, local());
      assert.equal(await allowedOf(limits, 2), 2);
      const slot = await limits.slots.take('a', 1);
      await stop(redis);
      assert.equal(await allowedOf(limits, 5), 3);
      assert.notEqual(await limits.slots.take('a', 1), null);
      const isOver = over();
      await start(redis);
      await isOver;
      left(name, await allowedOf(limits, 5), 1);
      assert.equal(await limits.slots.take('a', 1), null, 'it is still held');
      await slot!.release();
      assert.notEqual(await limits.slots.take('a', 1), null);
      assert.equal(begun.length, 1);
    });

    test(`${name}: everything is refused, until it is back`, async (context) => {
      const redis = await server();
      const { limits, begun, over } = await onRedis(context, null);
      await limits.limiter.take([bucket]);
      await stop(redis);
      await assert.rejects(limits.limiter.take([bucket]), isRefusal);
      await assert.rejects(limits.slots.take('a', 1), isRefusal);
      const isOver = over();
      await start(redis);
      await isOver;
      left(name, await allowedOf(limits, 5), 2);
      assert.equal(begun.length, 1);
    });
  }

  /** What reached an engine that stood still is done when it goes on, although nobody waits for it any more. */
  function left(name: string, allowed: number, known: number): void {
    if (name === 'standing still') assert.ok(allowed <= known, `${allowed}`);
    else assert.equal(allowed, known);
  }
});
