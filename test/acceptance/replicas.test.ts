/**
 * Several servers on one store, by HTTP, on every engine that servers can share: whichever of them is asked, a session is
 * one, its turns run one after another, and one that dies leaves nothing behind that stays.
 */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { findPostgres, startPostgres } from '../postgres-server.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, readEvents, send } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'admin-token' };
/** The shortest that can be set. */
const LEASE_SECONDS = 1;

replicated('Redis', skipWithoutRedis, async () => {
  const redis = await startRedis();
  return { url: redis.url(), stop: redis.stop };
});
replicated(
  'PostgreSQL',
  findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql',
  async () => {
    const postgres = await startPostgres();
    return { url: postgres.url(), stop: postgres.stop };
  },
);

interface Pair {
  one: ParleyProcess;
  other: ParleyProcess;
}

interface Engine {
  /** For `DATABASE_URL`. */
  url: string;
  stop(): Promise<void>;
}

function replicated(name: string, skip: string | false, start: () => Promise<Engine>): void {
  describe(`servers that share ${name}`, { skip }, () => {
    let engine: Engine;
    let double: ProviderDouble;
    let started: Promise<Pair> | undefined;
    before(async () => {
      [engine, double] = await Promise.all([start(), startProviderDouble()]);
    });
    after(async () => {
      await Promise.all(Object.values((await started) ?? {}).map(removeParley));
      await Promise.all([engine.stop(), double.close()]);
    });

    /** The two servers of all tests that leave them as they were. */
    function sharedPair(): Promise<Pair> {
      double.reset();
      return (started ??= startPair());
    }

    /** Two servers, as one test needs them. */
    async function pair(context: TestContext, env: Record<string, string> = {}): Promise<Pair> {
      double.reset();
      const servers = await startPair(env);
      context.after(() => Promise.all(Object.values(servers).map(removeParley)));
      return servers;
    }

    async function startPair(env: Record<string, string> = {}): Promise<Pair> {
      const settings = {
        DATABASE_URL: engine.url,
        TURN_LEASE_SECONDS: String(LEASE_SECONDS),
        OPENAI_BASE_URL: double.url,
        OPENAI_API_KEY: 'none',
        ADMIN_TOKEN: 'admin-token',
        ALLOW_OPEN: 'true',
        ...env,
      };
      const [one, other] = await Promise.all([startParley(settings), startParley(settings)]);
      return { one, other };
    }

    /** A turn that runs at a server until the test lets it go on. */
    async function held(server: ParleyProcess, sessionId: string, headers: Record<string, string> = {}) {
      const go = Promise.withResolvers<void>();
      const count = double.requests.length;
      double.respondOnce({ text: 'held', waitBefore: go.promise });
      const answer = send(server.url, sessionId, 'Hold on', {}, headers);
      answer.catch(() => undefined);
      await double.arrived(count + 1);
      const { body } = await call(server.url, 'GET', `/sessions/${sessionId}/turns?order=desc`);
      return { answer, turnId: body.data[0].id as string, go: go.resolve };
    }

    test('a conversation goes on at any of them', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      assert.equal((await send(one.url, session, 'One')).status, 200);
      assert.equal((await send(other.url, session, 'Two')).status, 200);
      assert.deepEqual(
        double.last.body.messages.map(({ content }) => content),
        ['One', 'You said: One', 'Two'],
      );
    });

    test('a message waits for the turn that runs elsewhere, in order, or is refused', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const first = await held(one, session);
      const second = send(other.url, session, 'Second');
      const refused = await send(other.url, session, 'Now', { on_busy: 'reject' });
      assert.deepEqual([refused.status, refused.body.error.code], [409, 'session_busy']);
      first.go();
      assert.equal((await first.answer).status, 200);
      assert.equal((await second).status, 200);
      const { body } = await call(one.url, 'GET', `/sessions/${session}/messages`);
      const said = body.data.map(({ content }: { content: string }) => content);
      assert.deepEqual(said, ['Hold on', 'held', 'Second', 'You said: Second']);
    });

    test('a hundred messages at once, at both of them, are as many turns one after another', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, index) => send((index % 2 ? one : other).url, session, `m${index}`)),
      );
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      const roles: string[] = [];
      for (let after = ''; ; ) {
        const path = `/sessions/${session}/messages?limit=100${after && `&after=${after}`}`;
        const { body } = await call(one.url, 'GET', path);
        roles.push(...body.data.map(({ role }: { role: string }) => role));
        if (!body.has_more) break;
        after = body.last_id;
      }
      assert.equal(roles.length, 200);
      assert.ok(
        roles.every((role, index) => role === (index % 2 ? 'assistant' : 'user')),
        'never interleaved',
      );
    });

    test('a server that is killed in a turn leaves it failed and its session free after the lease', async (context) => {
      const { one, other } = await pair(context);
      const session = await newSession(one.url);
      assert.equal((await send(one.url, session, 'Before')).status, 200);
      const left = await held(one, session);
      await one.stop('SIGKILL');
      const diedAt = performance.now();
      assert.equal((await send(other.url, session, 'After')).status, 200);
      const waited = performance.now() - diedAt;
      assert.ok(waited > LEASE_SECONDS * 200, `the lease was respected: ${waited}`);
      const { body: turn } = await call(other.url, 'GET', `/sessions/${session}/turns/${left.turnId}`);
      assert.deepEqual([turn.status, turn.error.code], ['failed', 'server_restarted']);
      const seen = double.last.body.messages.map(({ content }) => content);
      assert.deepEqual(seen, ['Before', 'You said: Before', 'After']);
    });

    test('a server that comes back too late cannot commit', async (context) => {
      const { one, other } = await pair(context);
      const session = await newSession(one.url);
      const late = await held(one, session);
      one.process.kill('SIGSTOP');
      assert.equal((await send(other.url, session, 'Meanwhile')).status, 200);
      one.process.kill('SIGCONT');
      late.go();
      const { status, body } = await late.answer;
      assert.deepEqual([status, body.error.code], [500, 'turn_superseded']);
      const { body: messages } = await call(other.url, 'GET', `/sessions/${session}/messages`);
      const said = messages.data.map(({ content }: { content: string }) => content);
      assert.deepEqual(said, ['Meanwhile', 'You said: Meanwhile']);
    });

    test('a turn that lasts longer than its lease keeps it', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const long = await held(one, session);
      await pause(LEASE_SECONDS * 2500);
      const refused = await send(other.url, session, 'Now', { on_busy: 'reject' });
      assert.equal(refused.status, 409);
      long.go();
      assert.equal((await long.answer).status, 200);
    });

    test('a turn is cancelled, or interrupted, from any of them', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const first = await held(one, session);
      const cancelled = await call(
        other.url,
        'POST',
        `/sessions/${session}/turns/${first.turnId}/cancel`,
        {},
      );
      assert.deepEqual([cancelled.status, cancelled.body.status], [200, 'cancelled']);
      assert.equal((await first.answer).status, 409);
      const second = await held(one, session);
      const interrupting = await send(other.url, session, 'No, this', { on_busy: 'interrupt' });
      assert.equal(interrupting.status, 200);
      assert.equal((await second.answer).status, 409);
    });

    test('a request that is sent again elsewhere is the same turn, running or over', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const key = { 'idempotency-key': 'k' };
      const first = await held(one, session, key);
      const again = send(other.url, session, 'Hold on', {}, key);
      await pause(100);
      first.go();
      const [answer, repeated] = [await first.answer, await again];
      assert.equal(repeated.body.turn_id, answer.body.turn_id);
      assert.equal(repeated.headers.get('idempotent-replayed'), 'true');
      const later = await send(other.url, session, 'Hold on', {}, key);
      assert.equal(later.body.turn_id, answer.body.turn_id);
      assert.equal(double.requests.length, 1);
    });

    test('the events of a turn that runs elsewhere are there when it is over', async () => {
      const { one, other } = await sharedPair();
      const session = await newSession(one.url);
      const turn = await held(one, session);
      const events = fetch(`${other.url}/sessions/${session}/turns/${turn.turnId}/events`);
      const { status, headers } = await events;
      assert.equal(status, 200);
      assert.match(headers.get('content-type') ?? '', /^text\/event-stream/);
      turn.go();
      await turn.answer;
      const read = readEvents(await (await events).text());
      assert.deepEqual(
        read.map(({ id, event }) => [id, event]),
        [
          [0, 'turn.started'],
          [1, 'message.delta'],
          [2, 'turn.completed'],
        ],
      );
    });

    test('keys, allowed addresses and stopped providers are known everywhere within a second', async (context) => {
      const { one, other } = await pair(context, {
        RATE_RPS: '0.001',
        RATE_BURST: '1',
        API_KEYS: 'ada:key-of-ada',
      });
      const admin = (server: ParleyProcess, method: string, path: string, body?: object) =>
        call(server.url, method, path, body, ADMIN);
      await admin(one, 'POST', '/admin/bypass', { ip: '127.0.0.1' });
      const { body: client } = await admin(one, 'POST', '/admin/clients', { name: 'shop' });
      await admin(one, 'POST', '/admin/providers/openai/stop', {});
      const shop = { 'x-api-key': client.key.key };
      const look = async () => (await call(other.url, 'GET', '/providers', undefined, shop)).status;
      await until(async () => (await look()) === 200);
      for (let time = 0; time < 5; time += 1) assert.equal(await look(), 200);
      const { body: providers } = await call(other.url, 'GET', '/providers', undefined, shop);
      assert.equal(providers.data[0].in_service, false);
      await admin(other, 'DELETE', `/admin/keys/${client.key.id}`);
      await admin(other, 'POST', '/admin/providers/openai/start', {});
      const refused = async () => (await call(one.url, 'GET', '/providers', undefined, shop)).body;
      await until(async () => (await refused()).error?.code === 'api_key_revoked');
    });
  });
}

/** The test's own time limit ends what never is. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(50);
}
