/** The outages of limits that servers share, in docs/outages.md, as their clients and operators see them. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call } from './client.ts';
import { askAtOnce, startLimited } from './limited-servers.ts';
import { outputWith, type ParleyProcess } from './parley-process.ts';
import { shownOf } from './shared-parts.ts';

describe('the Redis of the limits out of service', { skip: skipWithoutRedis }, () => {
  let redis: RedisServer;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  /** Out of service; the end of it puts it back in any case, for the next test. */
  async function kill(context: TestContext) {
    await redis.kill();
    let isBack = false;
    const back = async () => {
      if (!isBack) await redis.start();
      isBack = true;
    };
    context.after(back);
    return back;
  }

  test('servers limit for themselves, and together again afterwards', async (context) => {
    const servers = await startLimited(context, redis, 2, { RATE_RPS: '0.001', RATE_BURST: '5' });
    const back = await kill(context);
    const statuses = await askAtOnce(servers, 10);
    assert.equal(statuses.filter((status) => status === 200).length, 10, 'five of each');
    assert.equal(statuses.filter((status) => status === 429).length, 10);
    for (const server of servers) assert.equal(linesOf(server, /limits for itself/).length, 1);
    for (const server of servers) assert.deepEqual(await shownOf(server, 'limits'), ['unavailable', '0']);
    await back();
    await Promise.all(servers.map(untilBack));
    for (const server of servers) assert.deepEqual(await shownOf(server, 'limits'), ['ok', '1']);
    const again = await askAtOnce(servers, 10);
    assert.equal(again.filter((status) => status === 200).length, 5, 'of what Redis has');
    for (const server of servers) assert.equal(linesOf(server, /are back/).length, 1);
  });

  test('what is limited is refused, where that is wanted', async (context) => {
    const [server] = (await startLimited(context, redis, 1, { RATE_LIMIT_ON_OUTAGE: 'deny' })) as [
      ParleyProcess,
    ];
    const back = await kill(context);
    const { status, headers, body } = await call(server.url, 'GET', '/sessions');
    assert.deepEqual([status, body.error.code], [503, 'store_unavailable']);
    assert.equal(headers.get('retry-after'), '2');
    assert.equal((await call(server.url, 'GET', '/health')).status, 200);
    assert.equal(linesOf(server, /are refused/).length, 1);
    await back();
    await untilBack(server);
    assert.equal((await call(server.url, 'GET', '/sessions')).status, 200);
  });
});

function untilBack(server: ParleyProcess): Promise<void> {
  return outputWith(server, (text) => text.includes('are back'));
}

function linesOf(server: ParleyProcess, text: RegExp): unknown[] {
  return server.logLines().filter(({ msg }) => text.test(String(msg)));
}
