/** Redis when it does not serve: what callers are told, and that they need not do anything when it does again. */

import assert from 'node:assert/strict';
import { after, afterEach, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import { startTcpProxy } from '../../../test/tcp-proxy.ts';
import { AppError } from '../../errors.ts';
import { sampleClient } from '../admin-store.contract.ts';
import type { OpenedStore } from '../admin-store.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { openRedisStore } from '../redis.ts';
import {
  begin,
  createdSession,
  OWNER,
  RESTARTED,
  rejectsWith,
  runTurn,
  sampleBegin,
  sampleOutcome,
  sampleSession,
} from '../store-samples.contract.ts';

const TIMEOUT = 300;

describe('Redis out of service', { skip: skipWithoutRedis, timeout: 60_000 }, () => {
  let started: Promise<RedisServer> | null = null;
  const redis = () => (started ??= startRedis('--appendonly', 'yes'));
  afterEach(async () => {
    const server = await redis();
    server.resume();
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    await server.command('REPLICAOF', 'NO', 'ONE');
  });
  after(async () => (await redis()).stop());

  test('it is killed in the middle of turns, and nothing that was acknowledged is lost', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const sessions = await Promise.all(Array.from({ length: 8 }, () => createdSession(store)));
    const committed = new Map(sessions.map(({ id }) => [id, [] as string[]]));
    let turns = 0;
    const failed = sessions.map(async (session) => {
      for (;;) {
        committed.get(session.id)!.push(await runTurn(store, session, { leaseMilliseconds: 0 }));
        turns += 1;
        if (turns === 100) void server.kill();
      }
    });
    for (const outcome of await Promise.allSettled(failed)) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof AppError, 'it failed otherwise');
      assert.equal(outcome.reason.code, 'store_unavailable');
    }
    await server.kill();
    await rejectsWith(store.ping(), 'store_unavailable');
    await server.start();

    await untilItWorks(() => store.ping());
    await store.failInterrupted(RESTARTED, 9000);
    for (const session of sessions) {
      const page = await store.listTurns(OWNER, session.id, { limit: 1000, after: null, order: 'asc' });
      const done = page!.data.filter(({ status }) => status === 'completed').map(({ id }) => id);
      const acknowledged = committed.get(session.id)!;
      assert.deepEqual(done.slice(0, acknowledged.length), acknowledged);
      assert.ok(done.length <= acknowledged.length + 1, 'at most the last one was done without being told');
      await runTurn(store, session);
    }
  });

  test('it stands still: every call is cut, and works again', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const session = await createdSession(store);
    server.pause();
    await Promise.all(
      [
        store.ping(),
        store.getSession(OWNER, session.id),
        store.createSession(sampleSession()),
        store.listSessions({ owner: OWNER, metadata: {}, limit: 5, after: null, order: 'asc' }),
        store.beginTurn(sampleBegin(session)),
        store.renewTurns({ running: [], waiting: [{ sessionId: 'x', turnId: 'y' }], leaseMilliseconds: 5 }),
        store.failInterrupted(RESTARTED, 1),
        store.sweep(1, null),
        store.admin.listKeys(),
        store.admin.saveClient(sampleClient(), sampleEntry()),
      ].map((call) => rejectsWith(call, 'store_unavailable')),
    );
    server.resume();
    await untilItWorks(() => store.ping());
    // The turn may have begun although nobody was told; then its lease is over.
    await store.failInterrupted(RESTARTED, 9000);
    await runTurn(store, session);
  });

  test('it becomes a replica: nothing is written, everything is read', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const session = await createdSession(store);
    // The master does not exist, so the data stays as it is.
    await server.command('REPLICAOF', '127.0.0.1', '1');
    await rejectsWith(store.beginTurn(sampleBegin(session)), 'store_unavailable');
    await rejectsWith(store.ping(), 'store_unavailable');
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
    await server.command('REPLICAOF', 'NO', 'ONE');
    await runTurn(store, session);
  });

  test('its memory is full: a turn that runs stays as it was, and is committed later', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const session = await createdSession(store);
    const { turnId, fence } = await begin(store, session, { leaseMilliseconds: 600_000 });
    const commit = { sessionId: session.id, turnId, fence, outcome: sampleOutcome() };
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    await rejectsWith(store.commitTurn(commit), 'store_unavailable');
    await rejectsWith(store.createSession(sampleSession()), 'store_unavailable');
    await rejectsWith(store.ping(), 'store_unavailable');
    assert.equal((await store.getTurn(OWNER, session.id, turnId))?.status, 'in_progress');
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    assert.equal(await store.commitTurn(commit), true);
  });

  test('it forgets the scripts: they are sent again', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const session = await createdSession(store);
    await runTurn(store, session);
    await server.command('SCRIPT', 'FLUSH');
    await runTurn(store, session);
  });

  test('its connections are cut again and again: calls fail or succeed, and no turn is done twice', async (context) => {
    const server = await redis();
    const proxy = await startTcpProxy(server.port);
    context.after(() => proxy.close());
    const store = await opened(context, through(proxy.port, server.url()));
    const session = await createdSession(store);
    let done = 0;
    for (let round = 0; round < 20; round += 1) {
      const request = sampleBegin(session);
      const begun = store.beginTurn(request);
      if (round % 3 === 0) proxy.cut();
      const outcome = await begun.catch((error: unknown) => error);
      if (outcome instanceof Error) {
        assert.ok(outcome instanceof AppError && outcome.code === 'store_unavailable', String(outcome));
        await untilItWorks(() => store.failInterrupted(RESTARTED, 9000));
        continue;
      }
      assert.ok('kind' in (outcome as object));
      const { kind, fence } = outcome as { kind: string; fence: number };
      assert.equal(kind, 'begun');
      const { turnId } = request;
      const commit = { sessionId: session.id, turnId, fence, outcome: sampleOutcome() };
      assert.equal(await store.commitTurn(commit), true);
      done += 1;
    }
    assert.ok(done > 0 && proxy.connections() > 1);
    const all = await store.listTurns(OWNER, session.id, { limit: 100, after: null, order: 'asc' });
    assert.equal(all!.data.filter(({ status }) => status === 'completed').length, done);
  });

  test('an answer is lost: the turn has begun, and is failed when its lease is over', async (context) => {
    const server = await redis();
    const proxy = await startTcpProxy(server.port);
    context.after(() => proxy.close());
    const store = await opened(context, through(proxy.port, server.url()));
    const session = await createdSession(store);
    proxy.hold('answers');
    const request = sampleBegin(session);
    await rejectsWith(store.beginTurn(request), 'store_unavailable');
    // A new connection has taken the place of the one that leads nowhere.
    await untilItWorks(() => store.ping());
    assert.deepEqual(await store.beginTurn(sampleBegin(session)), { kind: 'busy', turnId: request.turnId });
    assert.equal(await store.failInterrupted(RESTARTED, 9000), 1);
    await runTurn(store, session);
  });

  test('a connection that leads nowhere is given up', async (context) => {
    const server = await redis();
    const proxy = await startTcpProxy(server.port);
    context.after(() => proxy.close());
    const store = await opened(context, through(proxy.port, server.url()));
    proxy.hold('requests', 'answers');
    await rejectsWith(store.ping(), 'store_unavailable');
    await untilItWorks(() => store.ping());
    assert.equal(proxy.connections(), 2);
  });

  test('it lets nobody in: too many clients', async (context) => {
    const server = await redis();
    const proxy = await startTcpProxy(server.port);
    context.after(() => proxy.close());
    const store = await opened(context, through(proxy.port, server.url()));
    const maxClients = (await server.command<string[]>('CONFIG', 'GET', 'maxclients'))[1]!;
    const other = await opened(context, server.url());
    await server.command('CONFIG', 'SET', 'maxclients', '1');
    proxy.cut();
    await rejectsWith(store.ping(), 'store_unavailable');
    await other.ping();
    await other.close();
    await untilItWorks(() => server.command('CONFIG', 'SET', 'maxclients', maxClients));
    await untilItWorks(() => store.ping());
  });

  test('a mistake of the program is no outage', async (context) => {
    const server = await redis();
    const store = await opened(context, server.url());
    const session = await createdSession(store);
    await assert.rejects(store.createSession(session), /there is a session of this id/);
    const [key] = await server.command<string[]>('KEYS', `*session:${session.id}`);
    await server.command('SET', key!, 'not a hash');
    await assert.rejects(store.getSession(OWNER, session.id), /WRONGTYPE/);
  });

  test('what cannot be opened says why, and no secret', async (context) => {
    const server = await redis();
    await server.command('ACL', 'SETUSER', 'parley', 'on', '>hunter2', '~*', '&*', '+@all');
    const withUser = (password: string) => `redis://parley:${password}@127.0.0.1:${server.port}`;
    await assert.rejects(openRedisStore(withUser('hunter3')), (error: Error) => {
      assert.match(error.message, /^Redis at 127\.0\.0\.1:\d+ cannot be used: WRONGPASS/);
      assert.doesNotMatch(error.message, /hunter/);
      return true;
    });
    const store = await opened(context, withUser('hunter2'));
    await store.ping();
    await assert.rejects(
      openRedisStore('redis://127.0.0.1:1', { timeoutMilliseconds: TIMEOUT }),
      /ECONNREFUSED/,
    );
  });

  test('a server that does not persist, or throws away, is warned of', async (context) => {
    const server = await redis();
    const warnings: string[] = [];
    const log = { error: () => undefined, warn: (message: string) => warnings.push(message) };
    const openOnce = async () => (await openRedisStore(server.url(), { log })).close();
    await openOnce();
    assert.deepEqual(warnings, []);
    await server.command('CONFIG', 'SET', 'appendonly', 'no');
    await server.command('CONFIG', 'SET', 'maxmemory', '1gb');
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    context.after(() => server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction'));
    await openOnce();
    assert.equal(warnings.length, 2);
    assert.match(warnings[0]!, /appendonly no/);
    assert.match(warnings[1]!, /maxmemory-policy allkeys-lru/);
  });
});

async function opened(context: TestContext, url: string): Promise<OpenedStore> {
  const store = await openRedisStore(url, { timeoutMilliseconds: TIMEOUT });
  context.after(() => store.close());
  return store;
}

/** The same address by another port. */
function through(port: number, url: string): string {
  return url.replace(/:\d+\//, `:${port}/`);
}

/** Asks until it is answered; the test's own time limit ends what never is. */
async function untilItWorks(ask: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await ask();
      return;
    } catch {
      await pause(20);
    }
  }
}
