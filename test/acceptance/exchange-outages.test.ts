/** Outages of what servers tell each other, in docs/outages.md: with PostgreSQL as the store, which goes on. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findPostgres, type PostgresServer, startPostgres } from '../postgres-server.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, readEvents, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { shownOf } from './shared-parts.ts';

const skip =
  skipWithoutRedis ||
  (findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql');

describe('the Redis by which servers tell each other out of service', { skip }, () => {
  let redis: RedisServer;
  let postgres: PostgresServer;
  let double: ProviderDouble;
  let servers: [ParleyProcess, ParleyProcess];
  before(async () => {
    [redis, postgres, double] = await Promise.all([startRedis(), startPostgres(), startProviderDouble()]);
    const settings = {
      DATABASE_URL: postgres.url(),
      REDIS_URL: redis.url(),
      TURN_LEASE_SECONDS: '1',
      OPENAI_BASE_URL: double.url,
      OPENAI_API_KEY: 'none',
      ALLOW_OPEN: 'true',
    };
    servers = await Promise.all([startParley(settings), startParley(settings)]);
    await Promise.all(servers.map((server) => outputWith(server, (text) => count(text, / is heard/g) === 1)));
  });
  after(async () => {
    await Promise.all(servers.map(removeParley));
    await Promise.all([redis.stop(), postgres.stop(), double.close()]);
  });

  /** A turn at the first server that runs until the test lets it go on. */
  async function held(sessionId: string) {
    const go = Promise.withResolvers<void>();
    const before = double.requests.length;
    double.respondOnce({ text: 'held', waitBefore: go.promise });
    const answer = send(servers[0].url, sessionId, 'Hold on');
    await double.arrived(before + 1);
    const { body } = await call(servers[0].url, 'GET', `/sessions/${sessionId}/turns?order=desc`);
    return { answer, path: `/sessions/${sessionId}/turns/${body.data[0].id}`, go: go.resolve };
  }

  test('turns go on, and those of other servers are known from the store', async () => {
    const [one, other] = servers;
    const session = await newSession(one.url);
    await redis.kill();
    await Promise.all(servers.map((server) => outputWith(server, (text) => / is not heard/.test(text))));
    for (const server of servers) assert.deepEqual(await shownOf(server, 'exchange'), ['unavailable', '0']);

    const followed = await held(session);
    const events = fetch(`${other.url}${followed.path}/events`);
    const queued = send(other.url, session, 'Next');
    followed.go();
    assert.equal((await followed.answer).status, 200);
    assert.equal((await queued).status, 200);
    const read = readEvents(await (await events).text()).map(({ event }) => event);
    assert.deepEqual(read, ['turn.started', 'message.delta', 'turn.completed']);
    const stopped = await held(session);
    const cancelled = await call(other.url, 'POST', `${stopped.path}/cancel`, {});
    assert.deepEqual([cancelled.status, cancelled.body.status], [200, 'cancelled']);

    await redis.start();
    await Promise.all(servers.map((server) => outputWith(server, (text) => count(text, / is heard/g) === 2)));
    for (const server of servers) assert.equal(count(server.output(), / is not heard/g), 1);
    for (const server of servers) assert.deepEqual(await shownOf(server, 'exchange'), ['ok', '1']);
    assert.equal((await send(other.url, session, 'And on')).status, 200);
  });
});

function count(text: string, what: RegExp): number {
  return [...text.matchAll(what)].length;
}
