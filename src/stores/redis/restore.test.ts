/** Taking a long session in, beside servers that sweep: its turns are there before it, for longer than a sweep waits. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import type { OpenedStore } from '../admin-store.ts';
import type { PortableRecord } from '../portable-store.ts';
import { linesOf, MOMENT, recordsOf } from '../portable-store-samples.contract.ts';
import { openRedisStore } from '../redis.ts';
import { openMemoryStore } from '../sqlite.ts';
import { sampleSession, sampleTurns, sweepAll } from '../store-samples.contract.ts';

/** More turns than are written at once. */
const TURNS = 250;
const MINUTE = 60_000_000;

describe('a restore beside a sweep', { skip: skipWithoutRedis, timeout: 60_000 }, () => {
  let started: Promise<RedisServer> | null = null;
  const redis = () => (started ??= startRedis());
  after(async () => (await started)?.stop());

  /** A store, and the records of a session that are to come into it. */
  async function place(context: TestContext) {
    const server = await redis();
    const url = server.url();
    const prefix = new URL(url).searchParams.get('prefix')!;
    const [store, other] = [await openRedisStore(url), await openRedisStore(url)];
    const source = openMemoryStore();
    context.after(() => Promise.all([store, other, source].map((one) => one.close())));
    const turns = sampleTurns(TURNS);
    const session = sampleSession({ headTurnId: turns.at(-1)!.id });
    await source.createSession(session, turns);

    /** When the session was staged, or said to be still on its way: microseconds; null if it is not noted. */
    async function noted(): Promise<{ key: string; at: number } | null> {
      const found = await server.command<string[]>('KEYS', `${prefix}*:unlisted`);
      const [key = ''] = found;
      const at = found.length === 0 ? null : await server.command<string | null>('ZSCORE', key, session.id);
      return at === null ? null : { key, at: Number(at) };
    }

    /** As if more than a minute had passed since then. */
    async function age(): Promise<number> {
      const { key, at } = (await noted())!;
      await server.command('ZADD', key, String(at - 2 * MINUTE), session.id);
      return at - 2 * MINUTE;
    }

    return { store, other, source, noted, age };
  }

  /** The records, with something that happens when most of the turns are written. */
  async function* interrupted(
    source: OpenedStore,
    happens: () => Promise<unknown>,
  ): AsyncGenerator<PortableRecord> {
    const records = await recordsOf(source);
    yield* records.slice(0, -5);
    await happens();
    yield* records.slice(-5);
  }

  test('a session that is taken in for more than a minute is all there', async (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const { store, other, source, noted, age } = await place(context);
    await store.portable.restore(
      interrupted(source, async () => {
        const aged = await age();
        context.mock.timers.tick(20_000);
        while ((await noted())!.at <= aged) await pause(5);
        await sweepAll(other, 0);
      }),
    );
    await sweepAll(other, 0);
    assert.equal(await noted(), null);
    assert.deepEqual(await linesOf(store), await linesOf(source));
  });

  test('one whose importer stood still is none, and is taken in the next time', async (context) => {
    const { store, other, source, noted, age } = await place(context);
    const stalled = interrupted(source, async () => {
      await age();
      await sweepAll(other, 0);
      assert.equal(await noted(), null);
    });
    await assert.rejects(store.portable.restore(stalled), /its turns were swept/);
    assert.deepEqual(await linesOf(store), []);
    await store.portable.restore(source.portable.dump(MOMENT));
    await sweepAll(other, 0);
    assert.deepEqual(await linesOf(store), await linesOf(source));
  });
});
