/** The store on the master that sentinels name: found, lost, replaced, and found again. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { untilReplicated } from '../../../test/redis-cluster.ts';
import {
  MASTER_NAME,
  type RedisSentinels,
  startRedisSentinels,
  urlOf,
  watch,
} from '../../../test/redis-sentinels.ts';
import {
  type RedisServer,
  RIGHTS,
  skipWithoutRedis,
  startRedis,
  startSentinel,
} from '../../../test/redis-server.ts';
import { startTcpProxy } from '../../../test/tcp-proxy.ts';
import type { Session } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import type { OpenedStore } from '../admin-store.ts';
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
} from '../store-samples.contract.ts';

const TIMEOUT = 500;
/** A call that takes so long is not cut: its deadline, and what a busy machine adds. */
const HANG = 5000;

describe('Redis by its sentinels', { skip: skipWithoutRedis, timeout: 60_000 }, () => {
  let started: Promise<RedisSentinels> | null = null;
  const redis = () => (started ??= startRedisSentinels());
  after(async () => (await started)?.stop());

  test('the store is found, also when sentinels are missing', async (context) => {
    const { sentinels, master } = await redis();
    const [answers, , silent] = sentinels;
    silent!.pause();
    context.after(() => silent!.resume());
    const store = await opened(context, urlOf([silent!, answers!]));
    await runTurn(store, await createdSession(store));
    assert.match(await master.command('CLIENT', 'LIST'), / name=parley /);
  });

  test('a master that no sentinel knows is not waited for', async () => {
    const { url } = await redis();
    await assert.rejects(
      openRedisStore(url().replace('=conversations', '=other')),
      /^Error: Redis at \S+ cannot be used: its sentinels know no master "other"\.$/,
    );
  });

  test('a command whose answer was lost is not sent again', async (context) => {
    const [server, sentinel] = await Promise.all([startRedis(), startSentinel()]);
    const proxy = await startTcpProxy(server.port);
    context.after(async () => {
      await proxy.close();
      await Promise.all([server.stop(), sentinel.stop()]);
    });
    await watch(sentinel, proxy.port);
    const url = urlOf([sentinel]);
    const store = await opened(context, url, 10_000);
    const witness = await opened(context, `redis://127.0.0.1:${server.port}?${/prefix=.*/.exec(url)![0]}`);
    const session = await createdSession(store);
    // The server knows the scripts from here on.
    await runTurn(store, session);
    const { turnId, fence } = await begin(store, session);
    proxy.hold('answers');
    const committed = store.commitTurn({ sessionId: session.id, turnId, fence, outcome: sampleOutcome() });
    const told = rejectsWith(committed, 'store_unavailable');
    while ((await witness.getTurn(OWNER, session.id, turnId))?.status !== 'completed') await pause(10);
    proxy.cut();
    await told;
    await untilItWorks(() => store.ping());
  });

  test('a master that is a replica is left, and found again when it is none', async (context) => {
    const server = await startRedis();
    const sentinel = await startSentinel();
    context.after(() => Promise.all([server.stop(), sentinel.stop()]));
    await watch(sentinel, server.port);
    await server.command('ACL', 'SETUSER', 'parley', 'on', '>secret', ...RIGHTS, '+role');
    const store = await opened(
      context,
      `redis://parley:secret@127.0.0.1:${sentinel.port}?sentinel=${MASTER_NAME}`,
    );
    const session = await createdSession(store);
    await server.command('REPLICAOF', '127.0.0.1', '1');
    await rejectsWith(store.beginTurn(sampleBegin(session)), 'store_unavailable');
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
    await server.command('REPLICAOF', 'NO', 'ONE');
    await runTurn(store, session);
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal');
    await untilItWorks(() => store.ping());
    assert.deepEqual(await server.command('ACL', 'LOG'), []);
  });

  test('the master stands still: no call hangs, and what its replica has is all there', async (context) => {
    const { url, master, replica, replaceDead, untilMasterIs } = await redis();
    const store = await opened(context, url());
    const sessions = await Promise.all(Array.from({ length: 10 }, () => createdSession(store)));
    const acknowledged = await Promise.all(sessions.map((session) => runTurn(store, session)));
    await untilReplicated(master, replica);
    master.pause();
    context.after(() => master.resume());
    await Promise.all(sessions.map((session) => cutInTime(store.beginTurn(sampleBegin(session)))));
    await replaceDead(true);
    // A turn that began without our being told keeps its session until its lease is over.
    await untilItWorks(() => store.failInterrupted(RESTARTED, 9000));
    await untilMasterIs(replica);
    for (const [index, session] of sessions.entries()) {
      await untilItWorks(() => runTurn(store, session));
      const turn = await store.getTurn(OWNER, session.id, acknowledged[index]!);
      assert.equal(turn?.status, 'completed');
    }

    // The old one goes on as a master, until it is told that it is none. Nobody is led back to it.
    master.resume();
    await untilReplica(master);
    const [session] = sessions as [Session];
    const last = await runTurn(store, session);
    await untilReplicated(replica, master);
    assert.equal((await store.getTurn(OWNER, session.id, last))?.status, 'completed');
    assert.doesNotMatch(await master.command('CLIENT', 'LIST'), / name=parley /);
  });
});

async function opened(
  context: TestContext,
  url: string,
  timeoutMilliseconds = TIMEOUT,
): Promise<OpenedStore> {
  const store = await openRedisStore(url, { timeoutMilliseconds });
  context.after(() => store.close());
  return store;
}

async function cutInTime(call: Promise<unknown>): Promise<void> {
  const began = performance.now();
  await rejectsWith(call, 'store_unavailable');
  assert.ok(performance.now() - began < HANG, 'the call was not cut');
}

/** The suite's own time limit ends what never works. */
async function untilItWorks(call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await call();
      return;
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'store_unavailable', String(error));
      await pause(50);
    }
  }
}

/** Whoever becomes a replica breaks all connections, that of the question as well. */
async function untilReplica(server: RedisServer): Promise<void> {
  const ask = () => server.command('INFO', 'replication').catch(() => '');
  while (!(await ask()).includes('master_link_status:up')) await pause(50);
}
