/** The slots on Redis: the contract against a real one, and what becomes of the slots of servers that die. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
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
      close: () => one!.close(),
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
        const close = async () => {
          await slots.close();
          connection.close();
        };
        context?.after(close);
        return { slots, connection, prefix, close };
      }),
    );
  }

  test('replicas have as many together as there are', async (context) => {
    const [one, two] = await replicas(context, {}, {});
    const takes = [one!, two!].flatMap(({ slots }) => Array.from({ length: 20 }, () => slots.take('a', 7)));
    const held = (await Promise.all(takes)).filter((slot) => slot !== null);
    assert.equal(held.length, 7);
  });

  test('one that was given back is free for whoever asks any other server then', async (context) => {
    const [one, other] = await replicas(context, {}, {});
    const { run, send } = one!.connection;
    const late: RedisConnection['send'] = async (...command) => {
      await pause(20);
      return send(...command);
    };
    const slots = createRedisSlots({ run, send: late }, one!.prefix, {
      leaseMilliseconds: LEASE,
      onFailure: assert.ifError,
    });
    context.after(() => slots.close());
    const slot = await slots.take('a', 1);
    await slot!.release();
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  test('those of a server that died are free after the lease, and not before', async (context) => {
    let time = 1_000_000;
    const now = () => time;
    const [dead, other] = await replicas(context, { now }, { now });
    await dead!.slots.take('a', 1);
    dead!.connection.close();
    time += LEASE - 1;
    assert.equal(await other!.slots.take('a', 1), null);
    time += 1;
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  test('those of a server that lives are renewed for as long as they are held', async (context) => {
    const { now, pass, isRenewed } = standingClock(context);
    const [one, other] = await replicas(context, { now }, { now });
    const slot = await one!.slots.take('a', 1);
    for (let round = 0; round < 10; round += 1) {
      pass(LEASE * 0.4);
      await isRenewed(one!.prefix, 1);
      assert.equal(await other!.slots.take('a', 1), null);
    }
    await slot!.release();
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  test('one that lapsed is renewed, and nobody gets another until there are not too many', async (context) => {
    const { now, pass, isRenewed } = standingClock(context);
    const [late, other] = await replicas(context, { now }, { now });
    const first = await late!.slots.take('a', 1);
    pass(LEASE);
    const second = await other!.slots.take('a', 1);
    assert.ok(first !== null && second !== null);
    await isRenewed(late!.prefix, 2);
    await second.release();
    assert.equal(await other!.slots.take('a', 1), null);
    await first.release();
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  /** A clock that is moved, and the renewal, which comes when it is waited for. */
  function standingClock(context: TestContext) {
    context.mock.timers.enable({ apis: ['setInterval'] });
    let time = 1_000_000;
    return {
      now: () => time,
      pass(milliseconds: number) {
        time += milliseconds;
      },
      /** Resolves when so many have the whole lease before them. */
      async isRenewed(prefix: string, count: number) {
        context.mock.timers.tick(Math.ceil(LEASE / 3));
        const key = `${prefix}{limits}:slots:a`;
        const whole = `${time + LEASE}`;
        const renewed = async () => (await server()).command('ZCOUNT', key, whole, whole);
        while (Number(await renewed()) < count);
      },
    };
  }

  test('a server that is closed gives back what it holds', async (context) => {
    const [one, other] = await replicas(context, {}, {});
    await one!.slots.take('a', 2);
    await one!.slots.take('a', 2);
    await one!.close();
    assert.notEqual(await other!.slots.take('a', 1), null);
  });

  test('nothing is left of identities that hold none', async (context) => {
    const [one] = await replicas(context, {});
    const slot = await one!.slots.take('a'.repeat(5000), 1);
    const keys = async () => (await server()).command<string[]>('KEYS', `${one!.prefix}*`);
    const [key = ''] = await keys();
    assert.ok(key.length < 100, 'long identities are hashed');
    const left = Number(await (await server()).command('PTTL', key));
    assert.ok(left > 0 && left <= LEASE);
    await slot!.release();
    while ((await keys()).length > 0);
  });
});
