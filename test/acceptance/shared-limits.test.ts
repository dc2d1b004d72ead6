/** Limits by HTTP over several servers that share a Redis: what a client gets of all of them together. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startProviderDouble } from '../provider-double.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, send } from './client.ts';
import { askAtOnce, startLimited } from './limited-servers.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { createGate } from './parley-with-double.ts';

describe('servers that share a Redis', { skip: skipWithoutRedis }, () => {
  let redis: RedisServer;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  test('let a client through as often as one would that is asked by all', async (context) => {
    // So slow that no token comes back meanwhile.
    const servers = await startLimited(context, redis, 3, { RATE_RPS: '0.001', RATE_BURST: '50' });
    const statuses = await askAtOnce(servers, 60);
    assert.equal(statuses.filter((status) => status === 200).length, 50);
    assert.equal(statuses.filter((status) => status === 429).length, 130);
    const [{ url }] = servers as [ParleyProcess];
    const { headers } = await call(url, 'GET', '/sessions');
    assert.match(headers.get('ratelimit') ?? '', /"address";r=0;t=(9\d\d|1000)$/);
  });

  test('let it through by the rate as well', async (context) => {
    // Slow enough that a busy machine asks for more than there is, and that pauses let nothing go to waste.
    const limits = { rps: 10, burst: 20 };
    const servers = await startLimited(context, redis, 3, {
      RATE_RPS: `${limits.rps}`,
      RATE_BURST: `${limits.burst}`,
    });
    const begun = performance.now();
    let first = 0;
    let last = 0;
    let allowed = 0;
    const one = async ({ url }: ParleyProcess) => {
      while (performance.now() - begun < 2000) {
        const askedAt = performance.now();
        const { status } = await call(url, 'GET', '/sessions');
        if (first === 0) first = performance.now();
        last = Math.max(last, askedAt);
        allowed += Number(status === 200);
      }
    };
    await Promise.all(servers.flatMap((server) => [one(server), one(server)]));
    const most = limits.burst + (limits.rps * (performance.now() - begun)) / 1000;
    // Somebody asks all the time: of what the bucket gains no more than a token is left.
    const least = limits.burst + (limits.rps * (last - first)) / 1000 - 1;
    assert.ok(allowed <= most && allowed >= least - 1, `${least} ≤ ${allowed} ≤ ${most}`);
  });

  test('hold what the turns of a client take together', async (context) => {
    const double = await startProviderDouble();
    context.after(() => double.close());
    const servers = await startLimited(context, redis, 2, {
      OPENAI_BASE_URL: double.url,
      OPENAI_MODEL: 'double-model',
      RATE_CONCURRENT_TURNS: '1',
      RATE_TOKENS_PER_DAY: '5000',
    });
    const [one, two] = servers as [ParleyProcess, ParleyProcess];
    const [first, second] = [await newSession(one.url), await newSession(two.url)];
    const gate = createGate();
    double.respondOnce({
      text: ['done'],
      waitBefore: gate.opened,
      usageCounts: { prompt_tokens: 100, completion_tokens: 3900 },
    });
    const slow = send(one.url, first, 'take your time');
    await double.arrived(1);
    const denied = await send(two.url, second, 'now');
    assert.deepEqual([denied.status, denied.body.error.details.limit], [429, 'concurrent_turns']);
    gate.open();
    assert.equal((await slow).status, 200);

    const tooMany = await send(two.url, second, 'now');
    assert.deepEqual([tooMany.status, tooMany.body.error.details.limit], [429, 'tokens_per_day']);
    assert.match(tooMany.headers.get('ratelimit') ?? '', /"tokens_per_day";r=1000;/);
  });

  test('do not let operators deny each other who come at the same time', async (context) => {
    const servers = await startLimited(context, redis, 2, {
      ADMIN_TOKEN: 'admin-token',
      RATE_RPS: '0.001',
      RATE_BURST: '3',
    });
    const ask =
      (token: string) =>
      ({ url }: ParleyProcess) =>
        call(url, 'GET', '/admin/clients', undefined, { 'x-admin-token': token });
    const right = await Promise.all(Array.from({ length: 20 }, () => servers.map(ask('admin-token'))).flat());
    assert.ok(right.every(({ status }) => status === 200));
    const wrong = await Promise.all(Array.from({ length: 20 }, () => servers.map(ask('guess'))).flat());
    assert.equal(wrong.filter(({ status }) => status === 401).length, 3);
    assert.equal(wrong.filter(({ status }) => status === 429).length, 37);
    // Who guesses learns nothing any more, whatever is guessed.
    const [server] = servers as [ParleyProcess];
    const [found, missed] = [await ask('admin-token')(server), await ask('guess')(server)].map(
      ({ status, headers, body }) => [
        status,
        body.error.code,
        body.error.message,
        body.error.details.limit,
        headers.get('ratelimit-policy'),
      ],
    );
    assert.deepEqual(found, missed);
    assert.equal(found?.[0], 429);
  });

  test('find conversations and limits there where REDIS_URL alone is set', async (context) => {
    const parley = await startParley({ REDIS_URL: redis.url(), RATE_RPS: '0.001', RATE_BURST: '3' });
    context.after(() => removeParley(parley));
    const id = await newSession(parley.url);
    await parley.stop();
    const next = await parley.restart();
    context.after(() => removeParley(next));
    assert.equal((await call(next.url, 'GET', `/sessions/${id}`)).status, 200);
    const { headers } = await call(next.url, 'GET', `/sessions/${id}`);
    assert.match(headers.get('ratelimit') ?? '', /"address";r=0;/, 'a restart fills no bucket');
  });
});
