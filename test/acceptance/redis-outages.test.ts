/** The outages of Redis in docs/outages.md, as the clients and the operator of one server see them, which is never restarted. */

import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { untilReplicated } from '../redis-cluster.ts';
import { type RedisSentinels, startRedisSentinels } from '../redis-sentinels.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { startWitness, type Witness } from './outage-witness.ts';
import { startParley } from './parley-process.ts';

/** As the compose file has it persist, with each write on disk before it is answered. */
const PERSISTENT = ['--appendonly', 'yes', '--appendfsync', 'always'];
/** A replica is given what there is at once, and not only after others had time to come as well. */
const QUICK = ['--repl-diskless-sync-delay', '0'];

describe('Redis out of service', { skip: skipWithoutRedis, timeout: 120_000 }, () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let witness: Witness;
  before(async () => {
    redis = await startRedis(...PERSISTENT, ...QUICK);
    proxy = await startTcpProxy(redis.port);
    // The way to the limits is another, which is not what is watched here.
    const REDIS_URL = `redis://127.0.0.1:${redis.port}`;
    witness = await startWitness((settings) =>
      startParley({ ...settings, REDIS_URL, DATABASE_URL: `redis://127.0.0.1:${proxy.port}` }),
    );
  });
  // One that fails does not take the others with it.
  afterEach(() => {
    proxy.delay(0);
    redis.resume();
  });
  after(async () => {
    await witness.close();
    await proxy.close();
    await redis.stop();
  });

  test('Redis is killed, and started again', async () => {
    const conversation = await witness.converse();
    const [cut, whole] = [await witness.held(), await witness.held()];
    const logged = witness.parley.logLines().length;
    await redis.kill();
    await witness.assertOut(conversation, 'nothing');
    await witness.assertTurnFails(cut);
    await witness.assertToldOnce(logged);
    await redis.start();
    await witness.assertBack(conversation);
    whole.goOn();
    await witness.assertTurnCompletes(whole);
    await witness.assertFailedTurnIsKept(cut);
    await witness.untilToldOver(logged);
  });

  test('Redis stands still', async () => {
    const conversation = await witness.converse();
    redis.pause();
    await witness.assertOut(conversation, 'nothing');
    redis.resume();
    await witness.assertBack(conversation);
  });

  test('Redis is slower than the time limit of calls', async () => {
    const conversation = await witness.converse();
    proxy.delay(600);
    await witness.assertOut(conversation, 'nothing');
    proxy.delay(0);
    await witness.assertBack(conversation);
  });

  test('Redis is slow, and within the time limit', async () => {
    await witness.assertSlow(() => proxy.delay(60));
    proxy.delay(0);
    await witness.ready();
  });

  test('connections to Redis are cut', async () => {
    await witness.assertHiccups(() => proxy.cut());
  });

  test('connections to Redis lead nowhere', async () => {
    await witness.assertHiccups(() => proxy.hold('requests', 'answers'));
  });

  test('a replica of Redis takes over', async () => {
    const replica = await startRedis(...PERSISTENT, ...QUICK);
    try {
      const conversation = await witness.converse();
      await replica.command('REPLICAOF', '127.0.0.1', String(redis.port));
      await until(async () =>
        (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
      );
      await redis.kill();
      proxy.lead(replica.port);
      await until(witness.canRead);
      await witness.assertOut(conversation, 'reading');
      await replica.command('REPLICAOF', 'NO', 'ONE');
      await witness.assertBack(conversation);
    } finally {
      await redis.stop();
      redis = replica;
    }
  });

  test('Redis is read-only', async () => {
    const conversation = await witness.converse();
    // The master does not exist, so the data stays as it is.
    await redis.command('REPLICAOF', '127.0.0.1', '1');
    await witness.assertOut(conversation, 'reading');
    await redis.command('REPLICAOF', 'NO', 'ONE');
    await witness.assertBack(conversation);
  });

  test('Redis has too few replicas', async () => {
    const conversation = await witness.converse();
    await redis.command('CONFIG', 'SET', 'min-replicas-to-write', '1');
    await witness.assertOut(conversation, 'reading');
    await redis.command('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await witness.assertBack(conversation);
  });

  test('the memory of Redis is full', async () => {
    const conversation = await witness.converse();
    const running = await witness.held();
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    await witness.assertOut(conversation, 'reading and deleting');
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await witness.assertBack(conversation);
    running.goOn();
    await witness.assertTurnCompletes(running);
  });

  test('Redis lets nobody else in', async () => {
    const conversation = await witness.converse();
    const operator = await createClient({ RESP: 2, socket: { port: redis.port } }).connect();
    const config = (...words: string[]) => operator.sendCommand<string[]>(['CONFIG', ...words]);
    const [, most = ''] = await config('GET', 'maxclients');
    await config('SET', 'maxclients', '1');
    proxy.cut();
    await witness.assertOut(conversation, 'nothing');
    await config('SET', 'maxclients', most);
    operator.destroy();
    await witness.assertBack(conversation);
  });
});

describe('Redis failing over', { skip: skipWithoutRedis, timeout: 120_000 }, () => {
  let redis: RedisSentinels;
  let witness: Witness;
  before(async () => {
    redis = await startRedisSentinels();
    witness = await startWitness((settings) => startParley({ ...settings, DATABASE_URL: redis.url() }));
  });
  after(async () => {
    await witness.close();
    await redis.stop();
  });

  test('the master of Sentinel dies, and its replica takes over', async () => {
    const conversation = await witness.converse();
    const [cut, whole] = [await witness.held(), await witness.held()];
    await untilReplicated(redis.master, redis.replica);
    await redis.master.kill();
    await witness.assertOut(conversation, 'nothing');
    await witness.assertTurnFails(cut);
    await redis.replaceDead(true);
    await witness.assertBack(conversation);
    whole.goOn();
    await witness.assertTurnCompletes(whole);
    await witness.assertFailedTurnIsKept(cut);
  });
});

/** The suite's own time limit ends what never is. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(20);
}
