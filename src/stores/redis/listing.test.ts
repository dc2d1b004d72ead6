/**
 * What spans slots when whoever does it dies in the middle: after each round trip of it, and after the one whose answer
 * never came. The sweep finishes it, so that in the end all of it has happened, or nothing.
 */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import type { RequestKey } from '../../conversation/request-key.ts';
import { openConnection, type RedisConnection } from '../../redis/connection.ts';
import { parseRedisLocation } from '../../redis/location.ts';
import { OWNER, sampleKey, sampleSession, sampleTurns } from '../store-samples.contract.ts';
import { createRedisEverybody } from './everybody.ts';
import { createKeyspace } from './keyspace.ts';
import { createRedisListing } from './listing.ts';
import { createRedisSessions } from './sessions.ts';
import { createRedisSweep } from './sweep.ts';

const LIST = { owner: OWNER, limit: 100, after: null, order: 'asc' } as const;
const DEAD = 'the process is dead';

/** More round trips than anything takes. */
const MANY = 20;

describe('dying in the middle of what spans slots', { skip: skipWithoutRedis }, () => {
  let started: Promise<RedisServer> | null = null;
  after(async () => (await started)?.stop());

  for (const moment of ['before it is sent', 'before its answer'] as const) {
    test(`making a session with turns under a key, ${moment}`, async (context) => {
      const { parts, connection } = await open(context);
      const metadata = { user: 'ada' };
      for (let trips = 0, isWhole = false; !isWhole; trips += 1) {
        assert.ok(trips < MANY);
        const turns = sampleTurns(3);
        const session = sampleSession({ metadata, headTurnId: turns[2]!.id });
        const key = sampleKey();
        const dying = parts(dyingAfter(connection, trips, moment)).sessions.create(session, turns, key);
        isWhole = await survives(dying);
        const { listing, sessions, sweep, everybody } = parts(connection);
        await sweepAll(sweep);
        const found = await listing.find(OWNER, session.id);
        const listed = [
          await listing.page({ ...LIST, metadata }),
          await listing.page({ ...LIST, metadata: {} }),
        ];
        const isThere = found !== null;
        for (const { data } of listed) assert.deepEqual(data, isThere ? [session] : []);
        const known = await everybody.turn(turns[0]!.id);
        assert.equal(known?.sessionId, isThere ? session.id : undefined);
        if (isWhole) assert.ok(isThere);
        await expectKey(sessions.create, key, isThere ? session.id : null);
        await removeAll(parts(connection));
      }
    });

    test(`making a session whose key is sent again before any sweep, ${moment}`, async (context) => {
      const { parts, connection } = await open(context);
      const { listing, sessions } = parts(connection);
      for (let trips = 0, isWhole = false; !isWhole; trips += 1) {
        assert.ok(trips < MANY);
        const [session, other, key] = [sampleSession(), sampleSession(), sampleKey()];
        const dying = parts(dyingAfter(connection, trips, moment)).sessions.create(session, [], key);
        isWhole = await survives(dying);
        const outcome = await sessions.create(other, [], key);
        const told = outcome.kind === 'replay' ? outcome.session : other;
        const { data } = await listing.page({ ...LIST, metadata: {} });
        assert.deepEqual(data, [told]);
        await removeAll(parts(connection));
      }
    });

    test(`changing metadata, ${moment}`, async (context) => {
      const { parts, connection } = await open(context);
      const { listing, sessions, sweep } = parts(connection);
      for (let trips = 0, isWhole = false; !isWhole; trips += 1) {
        assert.ok(trips < MANY);
        const session = sampleSession({ metadata: { user: 'ada', app: 'x' } });
        await sessions.create(session, [], null);
        const change = { metadata: { user: 'bob', app: 'x' } };
        const dying = parts(dyingAfter(connection, trips, moment)).sessions.update(
          OWNER,
          session.id,
          change,
          2000,
        );
        isWhole = await survives(dying);
        await sweepAll(sweep);
        const { user } = (await listing.find(OWNER, session.id))!.metadata;
        for (const name of ['ada', 'bob']) {
          const { data } = await listing.page({ ...LIST, metadata: { app: 'x', user: name } });
          assert.equal(data.length, user === name ? 1 : 0);
        }
        if (isWhole) assert.equal(user, 'bob');
        await removeAll(parts(connection));
      }
    });

    test(`deleting a session, ${moment}`, async (context) => {
      const { parts, connection, left } = await open(context);
      const { listing, sessions, sweep } = parts(connection);
      for (let trips = 0, isWhole = false; !isWhole; trips += 1) {
        assert.ok(trips < MANY);
        const turns = sampleTurns(150);
        const session = sampleSession({ metadata: { user: 'ada' }, headTurnId: turns.at(-1)!.id });
        await sessions.create(session, turns, null);
        const dying = parts(dyingAfter(connection, trips, moment)).sessions.remove(OWNER, session.id);
        isWhole = await survives(dying);
        await sweepAll(sweep);
        const isThere = (await listing.find(OWNER, session.id)) !== null;
        const { data } = await listing.page({ ...LIST, metadata: { user: 'ada' } });
        assert.deepEqual(data, isThere ? [session] : []);
        if (isWhole) assert.equal(isThere, false);
        await removeAll(parts(connection));
        assert.deepEqual(await left(), [], 'something of it is left');
      }
    });
  }

  test('two makers of one key at once make one session', async (context) => {
    const { parts, connection, left } = await open(context);
    const { sessions, sweep, listing } = parts(connection);
    const key = sampleKey();
    const made = await Promise.all(
      Array.from({ length: 10 }, () => sessions.create(sampleSession(), [], key)),
    );
    assert.equal(made.filter(({ kind }) => kind === 'created').length, 1);
    const { data } = await listing.page({ ...LIST, metadata: {} });
    assert.equal(data.length, 1);
    for (const outcome of made) {
      if (outcome.kind !== 'created') assert.deepEqual(outcome, { kind: 'replay', session: data[0] });
    }
    await removeAll(parts(connection));
    await sweep(100_000, null);
    assert.deepEqual(await left(), []);
  });

  test('changes that reach the lists in the wrong order leave the later one', async (context) => {
    const { parts, connection } = await open(context);
    const { listing, sessions } = parts(connection);
    const session = sampleSession();
    await sessions.create(session, [], null);
    const now = Date.now() * 1000;
    const as = (user: string, revision: number) =>
      listing.list({
        owner: OWNER,
        sessionId: session.id,
        session: { metadata: { user } },
        revision: `${revision}`,
      });
    await sessions.update(OWNER, session.id, { metadata: { user: 'late' } }, 2000);
    await as('late', now + 60_000_000);
    await as('early', now + 30_000_000);
    assert.equal((await listing.page({ ...LIST, metadata: { user: 'late' } })).data.length, 1);
    assert.equal((await listing.page({ ...LIST, metadata: { user: 'early' } })).data.length, 0);
  });

  async function open(context: { after(work: () => void): void }) {
    const location = parseRedisLocation((await (started ??= startRedis())).url());
    const connection = await openConnection(location, 2000);
    context.after(() => connection.close());
    const keyspace = createKeyspace(location.prefix);
    const parts = (over: RedisConnection) => {
      const listing = createRedisListing(over, keyspace);
      const sessions = createRedisSessions(over, keyspace, listing);
      // What was left is finished at once.
      const { sweep } = createRedisSweep(over, keyspace, listing, sessions, 0);
      return { listing, sessions, sweep, everybody: createRedisEverybody(over, keyspace) };
    };
    const left = () => connection.send<string[]>('', ['KEYS', `${location.prefix}*`]);
    return { parts, connection, left };
  }
});

type Parts = {
  listing: ReturnType<typeof createRedisListing>;
  sessions: ReturnType<typeof createRedisSessions>;
  sweep: ReturnType<typeof createRedisSweep>['sweep'];
};

/** A connection of a process that dies with the round trip after so many. */
function dyingAfter(
  connection: RedisConnection,
  trips: number,
  moment: 'before it is sent' | 'before its answer',
): RedisConnection {
  let left = trips;
  const perhaps = async <Reply>(send: () => Promise<Reply>): Promise<Reply> => {
    left -= 1;
    if (left >= 0) return send();
    if (left === -1 && moment === 'before its answer') await send();
    throw new Error(DEAD);
  };
  return {
    ...connection,
    run: (script, keys, parameters) => perhaps(() => connection.run(script, keys, parameters)),
    send: (key, command) => perhaps(() => connection.send(key, command)),
  };
}

async function survives(dying: Promise<unknown>): Promise<boolean> {
  try {
    await dying;
    return true;
  } catch (error) {
    assert.match(String(error), new RegExp(DEAD));
    return false;
  }
}

async function sweepAll(sweep: Parts['sweep']): Promise<void> {
  while ((await sweep(3000, null)).more);
}

/** The key gives the session that it made, or is new. */
async function expectKey(
  create: Parts['sessions']['create'],
  key: RequestKey,
  sessionId: string | null,
): Promise<void> {
  const again = await create(sampleSession(), [], key);
  assert.equal(again.kind === 'replay' ? again.session.id : null, sessionId);
}

async function removeAll({ listing, sessions, sweep }: Parts): Promise<void> {
  const { data } = await listing.page({ ...LIST, metadata: {} });
  for (const { id } of data) await sessions.remove(OWNER, id);
  await sweepAll(sweep);
}
