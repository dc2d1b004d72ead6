/** Limits on a Redis Cluster of six processes: the contracts, and the master that has them dies. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type RedisCluster, startRedisCluster, untilReplicated } from '../../test/redis-cluster.ts';
import { skipWithoutRedis } from '../../test/redis-server.ts';
import { openConnection, type RedisConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import { createInProcessLimiter } from './in-process.ts';
import { createInProcessSlots } from './in-process-slots.ts';
import { limiterContract } from './limiter.contract.ts';
import type { Bucket } from './limiter.ts';
import { createRedisLimiter } from './redis.ts';
import { createRedisSlots } from './redis-slots.ts';
import { slotsContract } from './slots.contract.ts';
import { withOutage } from './with-outage.ts';

const LEASE = { leaseMilliseconds: 60_000, onFailure: assert.ifError };
/** The cluster has 16,384 slots, and three masters have a third each. */
const SLOTS_OF_A_MASTER = 16_384 / 3;

describe('limits on a Redis Cluster', { skip: skipWithoutRedis, timeout: 120_000 }, () => {
  let started: Promise<RedisCluster> | null = null;
  let connected: Promise<RedisConnection> | null = null;
  const cluster = () => (started ??= startRedisCluster());
  const connect = async () => openConnection(parseRedisLocation((await cluster()).url()), 1000);
  const connection = () => (connected ??= connect());
  after(async () => {
    (await connected)?.close();
    await (await started)?.stop();
  });

  let prefixes = 0;
  const nextPrefix = () => `test${(prefixes += 1)}:`;

  limiterContract('on Redis Cluster', async () => {
    let time = 0;
    const options = { now: () => time, keepMilliseconds: 3_600_000 };
    return {
      limiter: createRedisLimiter(await connection(), nextPrefix(), options),
      sinceMidnight: 0,
      pass: (milliseconds) => {
        time += milliseconds;
      },
      close: async () => {},
    };
  });

  slotsContract('on Redis Cluster', async () => {
    const slots = createRedisSlots(await connection(), nextPrefix(), LEASE);
    return { slots, close: () => slots.close() };
  });

  test('the master that has them dies: own limits, until its replica knows what it knew', async (context) => {
    const { nodes } = await cluster();
    const redis = await connect();
    const prefix = nextPrefix();
    const slots = createRedisSlots(redis, prefix, LEASE);
    const isOver = Promise.withResolvers<void>();
    const limits = withOutage({
      shared: { limiter: createRedisLimiter(redis, prefix), slots },
      own: { limiter: () => createInProcessLimiter(), slots: createInProcessSlots() },
      onBegin: () => undefined,
      onEnd: () => isOver.resolve(),
    });
    context.after(async () => {
      limits.close();
      await slots.close();
      redis.close();
    });
    const bucket: Bucket = { limit: 'key', identity: 'a', rate: 1e-6, burst: 5 };
    const allowedOf = async (times: number) => {
      let allowed = 0;
      for (let time = 0; time < times; time += 1) {
        allowed += Number((await limits.limiter.take([bucket])).allowed);
      }
      return allowed;
    };
    assert.equal(await allowedOf(2), 2);
    const slot = Number(await nodes[0]!.command('CLUSTER', 'KEYSLOT', '{limits}'));
    const master = Math.floor(slot / SLOTS_OF_A_MASTER);
    await untilReplicated(nodes[master]!, nodes[master + 3]!);
    await nodes[master]!.kill();
    assert.equal(await allowedOf(10), 5);
    await isOver.promise;
    assert.equal(await allowedOf(10), 3);
  });
});
