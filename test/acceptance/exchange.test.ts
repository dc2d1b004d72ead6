/**
 * Servers that tell each other over Redis what goes on, by HTTP: whichever is asked shows the turns of all of them while
 * they run, ends them, and knows which targets are out. The leases are so long that nothing here can be learnt from them.
 */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { findPostgres, startPostgres } from '../postgres-server.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, readEvents, type StreamEvent, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'admin-token' };
const LEASE_SECONDS = '600';
const skipWithoutPostgres = findPostgres() === undefined && 'there is no PostgreSQL on this machine';

told('Redis', skipWithoutRedis, async (redis) => ({
  env: { DATABASE_URL: redis.url() },
  stop: async () => undefined,
}));
told('PostgreSQL, with a Redis to coordinate', skipWithoutRedis || skipWithoutPostgres, async (redis) => {
  const postgres = await startPostgres();
  return { env: { DATABASE_URL: postgres.url(), REDIS_URL: redis.url() }, stop: postgres.stop };
});

interface Stores {
  env: Record<string, string>;
  stop(): Promise<void>;
}

function told(name: string, skip: string | false, open: (redis: RedisServer) => Promise<Stores>): void {
  describe(`servers on ${name}`, { skip }, () => {
    let redis: RedisServer;
    let stores: Stores;
    let double: ProviderDouble;
    let one: ParleyProcess;
    let other: ParleyProcess;
    before(async () => {
      [redis, double] = await Promise.all([startRedis(), startProviderDouble()]);
      stores = await open(redis);
      const settings = {
        ...stores.env,
        TURN_LEASE_SECONDS: LEASE_SECONDS,
        OPENAI_BASE_URL: double.url,
        OPENAI_API_KEY: 'none',
        ADMIN_TOKEN: 'admin-token',
        ALLOW_OPEN: 'true',
      };
      [one, other] = await Promise.all([startParley(settings), startParley(settings)]);
      await Promise.all(
        [one, other].map((server) => outputWith(server, (text) => text.includes('is heard'))),
      );
    });
    after(async () => {
      await Promise.all([one, other].map(removeParley));
      await Promise.all([stores.stop(), double.close()]);
      await redis.stop();
    });

    /** A streamed turn at one server that stands still after its second piece until the test lets it go on. */
    async function standing(headers: Record<string, string> = {}) {
      double.reset();
      const go = Promise.withResolvers<void>();
      double.respondOnce({
        text: ['One', ' two', ' three', ' four'],
        waitAt: { piece: 3, wait: go.promise },
      });
      const session = await newSession(one.url);
      const response = await fetch(`${one.url}/sessions/${session}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ content: 'Count', stream: true }),
      });
      const events = reading(response);
      await events.until(({ event }) => event === 'message.delta');
      return { session, turnId: events.read[0]!.data.turn_id as string, events, go: go.resolve };
    }

    test('a turn is followed where it does not run, as it comes and from any number on', async () => {
      const { session, turnId, events, go } = await standing();
      const path = `${other.url}/sessions/${session}/turns/${turnId}/events`;
      const following = reading(await fetch(path));
      await following.until(({ data }) => data.text === ' two');
      const resumed = reading(await fetch(path, { headers: { 'last-event-id': '1' } }));
      await resumed.until(({ id }) => id === 2);
      go();
      const all = await events.toEnd();
      assert.deepEqual(await following.toEnd(), all);
      assert.deepEqual(await resumed.toEnd(), all.slice(2));
      assert.deepEqual(
        all.map(({ event }) => event),
        ['turn.started', ...Array.from({ length: 4 }, () => 'message.delta'), 'turn.completed'],
      );
    });

    test('a request that is sent again elsewhere joins the turn, and its stream, while it runs', async () => {
      const key = { 'idempotency-key': 'again' };
      const { session, events, go } = await standing(key);
      const again = await fetch(`${other.url}/sessions/${session}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...key },
        body: JSON.stringify({ content: 'Count', stream: true }),
      });
      const joined = reading(again);
      await joined.until(({ data }) => data.text === ' two');
      go();
      assert.deepEqual(await joined.toEnd(), await events.toEnd());
      assert.equal(double.requests.length, 1);
    });

    test('a turn is cancelled, or interrupted, from anywhere', async () => {
      const first = await standing();
      const path = `/sessions/${first.session}/turns/${first.turnId}/cancel`;
      const cancelled = await call(other.url, 'POST', path, {});
      assert.deepEqual([cancelled.status, cancelled.body.status], [200, 'cancelled']);
      assert.equal((await first.events.toEnd()).at(-1)?.event, 'turn.failed');
      const second = await standing();
      assert.equal((await send(other.url, second.session, 'No', { on_busy: 'interrupt' })).status, 200);
      assert.equal((await second.events.toEnd()).at(-1)?.event, 'turn.failed');
    });

    test('a turn ends when its session is deleted elsewhere', async () => {
      const { session, events } = await standing();
      assert.equal((await call(other.url, 'DELETE', `/sessions/${session}`)).status, 204);
      assert.equal((await events.toEnd()).at(-1)?.event, 'turn.failed');
    });

    test('a target that failed for one is out for all, until an operator resets it for all', async (context) => {
      double.reset();
      double.respond({ status: 401 });
      context.after(() => double.reset());
      const session = await newSession(one.url);
      await send(one.url, session, 'Hello');
      await until(async () => (await stateAt(other)) === 'open');
      double.respond({ text: 'fine' });
      await call(other.url, 'POST', '/admin/providers/openai/reset', {}, ADMIN);
      for (const server of [one, other]) await until(async () => (await stateAt(server)) === 'closed');
      assert.equal((await send(one.url, session, 'Hello again')).status, 200);
    });

    test('a target that is back for one is back for all, and a server that starts later knows what is out', async (context) => {
      double.reset();
      double.respond({ status: 401 });
      const session = await newSession(one.url);
      await send(one.url, session, 'Hello');
      const third = await startThird(context);
      await until(async () => (await stateAt(third)) === 'open');
      double.respond({ text: 'fine' });
      // When every target is out, the least bad is asked: that is its trial.
      await until(async () => (await send(third.url, session, 'And now?')).status === 200);
      for (const server of [one, other, third]) await until(async () => (await stateAt(server)) === 'closed');
    });

    async function startThird(context: TestContext): Promise<ParleyProcess> {
      const third = await startParley({
        ...stores.env,
        OPENAI_BASE_URL: double.url,
        OPENAI_API_KEY: 'none',
        ADMIN_TOKEN: 'admin-token',
        ALLOW_OPEN: 'true',
      });
      context.after(() => removeParley(third));
      return third;
    }
  });
}

async function stateAt(server: ParleyProcess): Promise<string> {
  const { body } = await call(server.url, 'GET', '/admin/providers', undefined, ADMIN);
  const openai = body.data.find(({ name }: { name: string }) => name === 'openai');
  return openai.targets[0].state;
}

/** Reads a stream as it comes. */
function reading(response: Response) {
  let text = '';
  let isOver = false;
  const read: StreamEvent[] = [];
  const done = (async () => {
    const decoder = new TextDecoder();
    for await (const piece of response.body!) {
      text += decoder.decode(piece as Uint8Array, { stream: true });
      const end = text.lastIndexOf('\n\n');
      read.splice(0, read.length, ...readEvents(text.slice(0, end + 2)));
    }
    isOver = true;
  })();
  done.catch(() => undefined);
  return {
    read,
    async until(isIt: (event: StreamEvent) => boolean): Promise<void> {
      while (!read.some(isIt)) {
        assert.ok(!isOver, `the stream is over: ${text}`);
        await pause(10);
      }
    },
    async toEnd(): Promise<StreamEvent[]> {
      await done;
      return read;
    },
  };
}

/** The test's own time limit ends what never is. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(50);
}
