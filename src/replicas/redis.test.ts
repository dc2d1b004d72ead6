/** The exchange over Redis: the contract against a server and a cluster, and what outages do to it. */

import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisCluster, startRedisCluster } from '../../test/redis-cluster.ts';
import { startRedisSentinels } from '../../test/redis-sentinels.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { startTcpProxy } from '../../test/tcp-proxy.ts';
import { openConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import { openSubscription } from '../redis/subscription.ts';
import { exchangeContract } from './exchange.contract.ts';
import type { Exchange } from './exchange.ts';
import { createRedisExchange } from './redis.ts';

const TIMEOUT = 1000;

describe('the exchange over Redis', { skip: skipWithoutRedis }, () => {
  let server: Promise<RedisServer> | null = null;
  let cluster: Promise<RedisCluster> | null = null;
  const redis = () => (server ??= startRedis());
  after(async () => {
    await (await server)?.stop();
    await (await cluster)?.stop();
  });

  exchangeContract('one server', (context) => {
    const url = redis().then((one) => one.url());
    return async () => exchangeAt(context, await url);
  });
  exchangeContract('a cluster', (context) => {
    cluster ??= startRedisCluster();
    const url = cluster.then((nodes) => nodes.url());
    return async () => exchangeAt(context, await url);
  });

  test('servers on another database of the same Redis are others', async (context) => {
    const url = (await redis()).url();
    const [one, two] = await Promise.all([
      exchangeAt(context, url),
      exchangeAt(context, url.replace('/?', '/1?')),
    ]);
    await until(() => one.isConnected() && two.isConnected());
    const heard: string[] = [];
    two.listen(({ kind }) => heard.push(kind));
    one.tell({ kind: 'over', sessionId: 'a' });
    await pause(100);
    assert.deepEqual(heard, []);
  });

  test('what no server has told disturbs nobody', async (context) => {
    const url = (await redis()).url();
    const [one, two] = await Promise.all([exchangeAt(context, url), exchangeAt(context, url)]);
    await until(() => one.isConnected() && two.isConnected());
    const heard: string[] = [];
    two.listen(({ kind }) => heard.push(kind));
    const [prefix] = /test[^:]*/.exec(url) ?? [];
    for (const text of ['', 'no JSON', 'null', '1', '{}', '{"from":1}']) {
      await (await redis()).command('PUBLISH', `${prefix}:0:exchange:1`, text);
    }
    one.tell({ kind: 'over', sessionId: 'a' });
    await until(() => heard.length > 0);
    assert.deepEqual(heard, ['over'], 'heard at once, and not after a new greeting');
  });

  test('after a restart of Redis it is heard again, and the others are greeted', async (context) => {
    const own = await startRedis();
    context.after(() => own.stop());
    const url = own.url();
    const changes: boolean[] = [];
    const one = await exchangeAt(context, url, (isConnected) => changes.push(isConnected));
    const two = await exchangeAt(context, url);
    await until(() => one.isConnected() && two.isConnected());
    const heard: string[] = [];
    two.listen(({ kind }) => heard.push(kind));
    await own.kill();
    one.tell({ kind: 'over', sessionId: 'lost' });
    await until(() => !one.isConnected() && !two.isConnected());
    await own.start();
    await until(() => one.isConnected() && two.isConnected());
    one.tell({ kind: 'over', sessionId: 'heard' });
    await until(() => heard.includes('over'));
    assert.deepEqual(changes, [true, false, true]);
  });

  test('after a failover by sentinels the new master is heard', async (context) => {
    const sentinels = await startRedisSentinels();
    context.after(() => sentinels.stop());
    const url = sentinels.url();
    const [one, two] = await Promise.all([exchangeAt(context, url), exchangeAt(context, url)]);
    await until(() => one.isConnected() && two.isConnected());
    let heard = false;
    two.listen(({ kind }) => {
      heard ||= kind === 'over';
    });
    await sentinels.replaceDead(true);
    await sentinels.master.kill();
    // Told again and again: what is told in between is lost.
    await until(() => {
      one.tell({ kind: 'over', sessionId: 'told by the new master' });
      return heard;
    });
  });

  test('a connection that leads nowhere is noticed, and made anew', async (context) => {
    const proxy = await startTcpProxy((await redis()).port);
    context.after(() => proxy.close());
    const url = (await redis()).url().replace(/:\d+\//, `:${proxy.port}/`);
    const changes: boolean[] = [];
    const one = await exchangeAt(context, url, (isConnected) => changes.push(isConnected));
    await until(() => one.isConnected());
    proxy.hold('answers');
    await until(() => changes.length === 3);
    assert.deepEqual(changes, [true, false, true]);
  });
});

async function exchangeAt(
  context: TestContext,
  url: string,
  onChange: (isConnected: boolean) => void = () => undefined,
): Promise<Exchange> {
  const location = parseRedisLocation(url);
  const connection = await openConnection(location, TIMEOUT);
  const exchange = createRedisExchange({
    connection,
    location,
    subscribe: (...wanted) => openSubscription(location, TIMEOUT, ...wanted),
    onChange,
  });
  context.after(async () => {
    await exchange.close();
    connection.close();
  });
  return exchange;
}

/** The test's own time limit ends what never is. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(20);
}
