/** How much work the store gives to Redis, counted in commands: it does not grow with what lies there. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import { openRedisStore } from '../redis.ts';
import {
  begin,
  createdSession,
  OWNER,
  runTurn,
  sampleOutcome,
  sampleSession,
  sampleTurns,
} from '../store-samples.contract.ts';

const WINDOW = { places: 20, defaultPlaces: 20, taken: 1 };
const SHORT = 15;
const LONG = 3000;

describe('the work of Redis', { skip: skipWithoutRedis, timeout: 60_000 }, () => {
  let started: Promise<RedisServer> | null = null;
  const redis = () => (started ??= startRedis());
  after(async () => (await started)?.stop());

  test('a turn is two scripts, and costs the same in a long session as in a short one', async (context) => {
    const server = await redis();
    const store = await openRedisStore(server.url());
    context.after(() => store.close());
    const turnIn = async (count: number) => {
      const turns = sampleTurns(count);
      const session = sampleSession({ headTurnId: turns.at(-1)!.id });
      await store.createSession(session, turns);
      // The scripts are known from here on.
      await runTurn(store, session, { reach: WINDOW });
      return counted(server, async () => {
        const { turnId, fence, path } = await begin(store, session, { reach: WINDOW });
        assert.equal(path.length, 10);
        await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: sampleOutcome() });
      });
    };
    const [short, long] = [await turnIn(SHORT), await turnIn(LONG)];
    assert.equal(long.get('evalsha'), 2);
    // A jump more or less may have to be looked at.
    assert.ok(Math.abs(total(long) - total(short)) <= 2, `${total(long)} commands, and ${total(short)}`);
  });

  test('any item of a long conversation is reached in few steps', async (context) => {
    const server = await redis();
    const store = await openRedisStore(server.url());
    context.after(() => store.close());
    const turns = sampleTurns(LONG);
    const session = sampleSession({ headTurnId: turns.at(-1)!.id });
    await store.createSession(session, turns);
    await runTurn(store, session);
    for (const order of ['asc', 'desc'] as const) {
      for (const at of [null, 0, 1, 1023, 1500, LONG - 1]) {
        const after = at === null ? null : turns[at]!.input[0]!.id;
        const work = await counted(server, () =>
          store.listItems(OWNER, session.id, { limit: 10, after, order }),
        );
        const commands = total(work);
        assert.ok(commands < 150, `${commands} commands for ${order} after ${at}`);
      }
    }
  });

  test('nothing walks over keys, and a list costs the same beside a thousand sessions', async (context) => {
    const server = await redis();
    const store = await openRedisStore(server.url());
    context.after(() => store.close());
    const list = () =>
      store.listSessions({ owner: OWNER, metadata: { a: '1' }, limit: 5, after: null, order: 'desc' });
    const everything = async () => {
      await list();
      await store.sweep(5000, 500);
      await store.failInterrupted({ code: 'server_restarted', message: '' }, 1);
    };
    const work = async () => {
      // The scripts are known from here on.
      await everything();
      const counts = await counted(server, everything);
      for (const walk of ['keys', 'scan', 'hgetall', 'zscan', 'hscan'])
        assert.equal(counts.get(walk), undefined);
      return total(counts);
    };
    const few = Array.from({ length: 10 }, () => createdSession(store, { metadata: { a: '1' } }));
    await Promise.all(few);
    const before = await work();
    await Promise.all(Array.from({ length: 1000 }, () => createdSession(store, { metadata: { a: '1' } })));
    assert.equal(await work(), before);
  });
});

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** How often Redis ran each command meanwhile, those of scripts included. */
async function counted(server: RedisServer, work: () => Promise<unknown>): Promise<Map<string, number>> {
  await server.command('CONFIG', 'RESETSTAT');
  await work();
  const text = await server.command('INFO', 'commandstats');
  const counts = new Map<string, number>();
  for (const [, name = '', calls] of text.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
    // What this very look costs.
    if (!/^(config|info|client|hello|ping)/.test(name)) counts.set(name, Number(calls));
  }
  return counts;
}
