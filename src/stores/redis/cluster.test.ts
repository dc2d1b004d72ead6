/** The store on a Redis Cluster of six processes: the contracts, and a master that dies. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisCluster, startRedisCluster, untilReplicated } from '../../../test/redis-cluster.ts';
import { skipWithoutRedis } from '../../../test/redis-server.ts';
import type { Session } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import { describeAdminStore } from '../admin-store.contract.ts';
import { describeMove, describePortable } from '../portable-store.contract.ts';
import { openRedisStore } from '../redis.ts';
import { describeStore } from '../store.contract.ts';
import { describeSharedStore } from '../store-leases.contract.ts';
import { createdSession, OWNER, RESTARTED, runTurn } from '../store-samples.contract.ts';

describe('Redis Cluster', { skip: skipWithoutRedis }, () => {
  let started: Promise<RedisCluster> | null = null;
  const cluster = () => (started ??= startRedisCluster());
  after(async () => (await started)?.stop());

  const open = async () => openRedisStore((await cluster()).url());
  describeStore('Redis Cluster', open);
  describeAdminStore('Redis Cluster', open);
  describePortable('Redis Cluster', open);
  describeMove('Redis Cluster', open, open);
  describeSharedStore('Redis Cluster', async () => {
    const url = (await cluster()).url();
    return [await openRedisStore(url), await openRedisStore(url)];
  });

  test('a master dies: its sessions go on when its replica has taken over', {
    timeout: 60_000,
  }, async (context) => {
    const { nodes, url } = await cluster();
    const store = await openRedisStore(url(), { timeoutMilliseconds: 500 });
    context.after(() => store.close());
    const sessions = await Promise.all(Array.from({ length: 30 }, () => createdSession(store)));
    for (const session of sessions) await runTurn(store, session);
    await untilReplicated(nodes[2]!, nodes[5]!);
    await nodes[2]!.kill();
    let failures = 0;
    const goOn = async (session: Session) => {
      while (!context.signal.aborted) {
        try {
          await runTurn(store, session, { leaseMilliseconds: 1000 });
          return;
        } catch (error) {
          // A turn that began without our being told keeps its session until its lease is over.
          const isExpected = error instanceof AppError || /could not begin: busy/.test(String(error));
          assert.ok(isExpected, String(error));
          failures += 1;
          await pause(100);
          await store.failInterrupted(RESTARTED, 9000).catch(() => undefined);
        }
      }
    };
    await Promise.all(sessions.map(goOn));
    assert.ok(failures > 0, 'nothing was lost, so no master was');
    await store.ping();
    const listed = await store.listSessions({
      owner: OWNER,
      metadata: {},
      limit: 100,
      after: null,
      order: 'asc',
    });
    assert.equal(listed.data.length, sessions.length);
  });
});
