/** A process that writes turns to Redis is killed: what it had acknowledged is there, and its sessions are free. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import { openRedisStore } from '../redis.ts';
import { begin, OWNER, RESTARTED } from '../store-samples.contract.ts';

const LEASE = 500;

/** A turn that never ends, and sixteen sessions at once with turn after turn. What is acknowledged is printed. */
const WRITER = `
  const [stores, samples] = await Promise.all([
    import(process.argv[1] + 'open-store.ts'), import(process.argv[1] + 'store-samples.contract.ts')]);
  const store = await stores.openStore(process.argv[2]);
  const say = (kind, session, turn) => process.stdout.write([kind, session.id, turn].join(' ') + '\\n');
  const lease = { leaseMilliseconds: ${LEASE} };
  const left = await samples.createdSession(store);
  say('begun', left, (await samples.begin(store, left, lease)).turnId);
  await Promise.all(Array.from({ length: 16 }, async () => {
    const session = await samples.createdSession(store);
    for (;;) {
      const { turnId, fence } = await samples.begin(store, session, lease);
      say('begun', session, turnId);
      await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: samples.sampleOutcome() });
      say('done', session, turnId);
    }
  }));
`;

test('kill -9 of a server, and then of Redis, loses nothing that was acknowledged', {
  skip: skipWithoutRedis,
  timeout: 60_000,
}, async (context) => {
  const redis = await startRedis('--appendonly', 'yes');
  context.after(() => redis.stop());
  const url = redis.url();
  const rooms = new URL('..', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, rooms, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const acknowledged: string[][] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line.split(' '));
    if (acknowledged.length === 400) child.kill('SIGKILL');
  }
  assert.equal((await ended)[1], 'SIGKILL');
  await redis.kill();
  await redis.start();

  const store = await openRedisStore(url);
  context.after(() => store.close());
  const left = await store.getSession(OWNER, acknowledged[0]![1]!);
  // Nobody renews the leases, so they end; the first session's turn was begun first.
  for (let failed = 0; failed === 0 || !(await isFree(left!.id)); await pause(LEASE / 10)) {
    failed += await store.failInterrupted(RESTARTED, 9000);
  }
  while ((await store.failInterrupted(RESTARTED, 9000)) > 0) await pause(LEASE / 10);
  for (const [kind, sessionId, turnId] of acknowledged) {
    const turn = await store.getTurn(OWNER, sessionId!, turnId!);
    if (kind === 'done') assert.equal(turn?.status, 'completed');
    assert.ok(turn !== null && turn.input.length === 1);
  }
  assert.equal((await begin(store, left!)).parentId, null);

  async function isFree(sessionId: string): Promise<boolean> {
    const turn = await store.getTurn(OWNER, sessionId, acknowledged[0]![2]!);
    return turn?.error?.code === 'server_restarted';
  }
});
