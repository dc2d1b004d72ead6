/** The slots on Redis: the contract against a real one, and what becomes of the slots of servers that die. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { openConnection, type RedisConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import { createRedisSlots, type RedisSlots, type RedisSlotsOptions } from './redis-slots.ts';
import { slotsContract } from './slots.contract.ts';

const LEASE = 10_000;

describe('slots on Redis', { skip: skipWithoutRedis }, () => {
  let started: Promise<RedisServer> | null = null;
  const server = () => (started ??= startRedis());
  after(async () => (await started)?.stop());
  let prefixes = 0;

  slotsContract('on Redis', async () => {
    const [one] = await replicas(null, {});
    return {
      slots: one!.slots,
      close: async () => one!.die(),
    };
  });

  /** Servers that share their slots. */
  async function replicas(context: TestContext | null, ...options: Partial<RedisSlotsOptions>[]) {
    prefixes += 1;
    const prefix = `test${prefixes}:`;
    const location = parseRedisLocation((await server()).url());
    return Promise.all(
      options.map(async (more) => {
        const connection: RedisConnection = await openConnection(location, 5000);
        const slots: RedisSlots = createRedisSlots(connection, prefix, {
          leaseMilliseconds: LEASE,
          onFailure: assert.ifError,
          ...more,
        });
        const die = () => {
          slots.close();
          connection.close();
        };
        context?.after(die);
        return { slots, connection, prefix, die };
      }),
    );
  }

  test('replicas have as many together as there are', async (context) => {
    const [one, two] = await replicas(context, {}, {});
    const takes = [one!, two!].flatMap(({ slots }) => Array.from({ length: 20 }, () => slots.take('a', 7)));
    const held = (await Promise.all(takes)).filter((slot) => slot !== null);
    assert.equal(held.length, 7);
  });

  test('those of a server that died are free after the lease, and not before', async (context) => {
    let time = 1_000_000;
    const now = () => time;
    const [dead, other] = await replicas(context, { now }, { now });
    await dead!.slots.take('a', 1);
    dead!.die();
    time += LEASE - 1;
    assert.equal(await other!.slots.take('a', 1), null);
    time += 1;
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  test('those of a server that lives are renewed for as long as they are held', async (context) => {
    const lease = { leaseMilliseconds: 150 };
    const [one, other] = await replicas(context, lease, lease);
    const slot = await one!.slots.take('a', 1);
    const begun = performance.now();
    // Every answer in several leases.
    while (performance.now() - begun < 1000) assert.equal(await other!.slots.take('a', 1), null);
    slot!.release();
    let again = await other!.slots.take('a', 1);
    while (again === null) again = await other!.slots.take('a', 1);
  });

  test('one that lapsed while the server stood still is renewed, and nobody gets more until it is over', async (context) => {
    let time = 1_000_000;
    const now = () => time;
    const lease = { leaseMilliseconds: 60, now };
    const [one, two] = await replicas(context, lease, { ...lease, leaseMilliseconds: 1_000_000 });
    const late = await one!.slots.take('a', 1);
    time += 1000;
    // Before or after the renewal by the timer: a late server's work goes on either way.
    const taken = await two!.slots.take('a', 2);
    const count = async () =>
      Number(await (await server()).command('ZCARD', `${two!.prefix}{limits}:slots:a`));
    while ((await count()) < 2);
    assert.equal(await two!.slots.take('a', 2), null);
    late!.release();
    taken!.release();
    while ((await count()) > 0);
  });

  test('nothing is left of identities that hold none', async (context) => {
    const [one] = await replicas(context, {});
    const slot = await one!.slots.take('a'.repeat(5000), 1);
    const keys = async () => (await server()).command<string[]>('KEYS', `${one!.prefix}*`);
    const [key = ''] = await keys();
    assert.ok(key.length < 100, 'long identities are hashed');
    const left = Number(await (await server()).command('PTTL', key));
    assert.ok(left > 0 && left <= LEASE);
    slot!.release();
    while ((await keys()).length > 0);
  });
});
