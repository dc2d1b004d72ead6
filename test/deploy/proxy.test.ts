/** The nginx of the compose file before real servers that share a Redis: what it passes on, and what it keeps. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join, resolve } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { parse } from 'yaml';
import { settings } from '../../src/config/schema.ts';
import { call, readEvents } from '../acceptance/client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from '../acceptance/parley-process.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { freePort, type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { CONFIGURATION, type NginxServer, skipWithoutNginx, startNginx } from './nginx-server.ts';

const compose = parse(readFileSync(resolve(import.meta.dirname, '../../compose.yaml'), 'utf8'), {
  merge: true,
});
const { TRUST_PROXY } = compose.services['parley-1'].environment;

describe('nginx before two servers', { skip: skipWithoutNginx || skipWithoutRedis }, () => {
  let double: ProviderDouble;
  let redis: RedisServer;
  let store: string;
  let servers: ParleyProcess[] = [];
  let nginx: NginxServer;

  before(async () => {
    double = await startProviderDouble();
    redis = await startRedis();
    store = redis.url();
    servers = await Promise.all([startServer(), startServer()]);
    nginx = await startNginx(await freePort(), servers);
  });
  beforeEach(() => double.reset());
  after(async () => {
    await nginx?.stop();
    await Promise.all(servers.map(removeParley));
    await redis.stop();
    await double.close();
  });

  function startServer(env: Record<string, string> = {}): Promise<ParleyProcess> {
    return startParley({
      OPENAI_BASE_URL: double.url,
      DATABASE_URL: store,
      ADMIN_TOKEN: 'the-token',
      TRUST_PROXY,
      ...env,
    });
  }

  async function newSession(): Promise<string> {
    const { status, body } = await call(nginx.url, 'POST', '/sessions', {});
    assert.equal(status, 201);
    return body.id;
  }

  it('passes both of them requests, of the same sessions', async () => {
    const id = await newSession();
    for (let turn = 0; turn < 6; turn += 1) {
      const { status } = await call(nginx.url, 'POST', `/sessions/${id}/messages`, { content: `${turn}` });
      assert.equal(status, 200);
    }
    for (const server of servers) {
      await outputWith(server, (output) => output.includes('"msg":"turn"'));
    }
  });

  it('passes streams on piece by piece', async () => {
    const id = await newSession();
    const held = Promise.withResolvers<void>();
    double.respond({ text: ['The ', 'answer'], waitAt: { piece: 2, wait: held.promise } });
    const response = await ask(`/sessions/${id}/messages`, { content: 'Hello', stream: true });
    let text = '';
    for await (const piece of response.setEncoding('utf8')) {
      text += piece;
      // The provider goes on only when the first piece is here, so that a proxy that collects would never end.
      if (text.includes('"The "')) held.resolve();
    }
    const events = readEvents(text);
    assert.equal(events.at(-1)?.event, 'turn.completed');
    assert.equal(events.at(-1)?.data.message.content, 'The answer');
  });

  it('cuts no long answer, whole or streamed', async () => {
    const long = Array.from({ length: 512 }, (_, index) => `${index} `.padEnd(16 * 1024, 'x'));
    double.respond({ text: long });
    const id = await newSession();
    const { status, body } = await call(nginx.url, 'POST', `/sessions/${id}/messages`, { content: 'Hello' });
    assert.equal(status, 200);
    assert.equal(body.message.content, long.join(''));
    const response = await ask(`/sessions/${await newSession()}/messages`, {
      content: 'Hello',
      stream: true,
    });
    const events = readEvents(await readText(response));
    assert.equal(events.at(-1)?.data.message.content, long.join(''));
  });

  it('is silent for as long as a turn and those before it may take', () => {
    const conf = readFileSync(join(CONFIGURATION, 'parley.conf'), 'utf8');
    const hours = Number(/proxy_read_timeout (\d+)h;/.exec(conf)?.[1]);
    assert.ok(hours * 3600 >= 10 * settings.TURN_TIMEOUT_SECONDS.default);
  });

  it('takes what Parley takes, and lets Parley say that it is too much', async () => {
    const id = await newSession();
    const sent = (bytes: number) =>
      call(nginx.url, 'POST', `/sessions/${id}/messages`, { content: 'x'.repeat(bytes) });
    assert.equal((await sent(4_100_000)).status, 200);
    const { status, body } = await sent(4_500_000);
    assert.deepEqual([status, body.error.code], [413, 'body_too_large']);
  });

  it('publishes neither what is counted nor the administration, however they are written', async () => {
    const admin = { 'x-admin-token': 'the-token' };
    for (const path of ['/metrics', '/admin/clients']) {
      assert.equal((await call(servers[0]?.url ?? '', 'GET', path, undefined, admin)).status, 200);
    }
    const own = await ask('/nothing-here');
    const expected = JSON.parse(await readText(own));
    for (const path of [
      '/metrics',
      '/metrics?x=1',
      '//metrics',
      '/%6detrics',
      '/docs/../metrics',
      '/admin',
      '/admin/clients',
      '/docs/%2e%2e/admin/clients',
      '//admin//clients',
      '/%61dmin/clients',
    ]) {
      const response = await ask(path, undefined, { headers: admin });
      assert.equal(response.statusCode, 404, path);
      const { error, request_id } = JSON.parse(await readText(response));
      assert.deepEqual(error, expected.error, path);
      assert.match(request_id, /^\w+$/);
    }
  });

  it('tells the addresses of clients, and believes nobody about them', async (context) => {
    const limited = await startServer({ RATE_BURST: '2', RATE_RPS: '0.001' });
    context.after(() => removeParley(limited));
    const before = await startNginx(await freePort(), [limited]);
    context.after(() => before.stop());
    const from = async (localAddress: string, forwarded?: string) => {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      const response = await ask('/sessions', undefined, { url: before.url, localAddress, headers });
      response.resume();
      return response.statusCode;
    };
    assert.deepEqual([await from('127.0.0.2'), await from('127.0.0.2')], [200, 200]);
    assert.equal(await from('127.0.0.2'), 429);
    assert.equal(await from('127.0.0.3'), 200, 'another address has limits of its own');
    assert.equal(await from('127.0.0.2', '127.0.0.9'), 429, 'whatever it says to be');
    assert.equal(await from('127.0.0.4', '127.0.0.2'), 200, 'nobody is limited for another');
  });

  it('takes out a server that is gone, without a request that fails', async () => {
    const gone = await startServer();
    await nginx.reload([gone, ...servers]);
    await removeParley(gone);
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => call(nginx.url, 'POST', '/sessions', {})),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
    await nginx.reload(servers);
  });

  it('lets a server that is marked finish what it has, while the others take what comes', async () => {
    const id = await newSession();
    const held = Promise.withResolvers<void>();
    double.respondOnce({ text: ['The ', 'answer'], waitAt: { piece: 2, wait: held.promise } });
    const streamed = await ask(`/sessions/${id}/messages`, { content: 'Hello', stream: true });
    const busy = await busyServer(servers);
    await nginx.reload(servers.map((server) => ({ url: server.url, down: server === busy })));
    const exit = busy.stop();
    await outputWith(busy, (output) => output.includes('finishing running turns'));

    for (let turn = 0; turn < 6; turn += 1) {
      const response = await ask('/sessions', {});
      assert.equal(response.statusCode, 201);
      response.resume();
    }
    held.resolve();
    assert.equal(readEvents(await readText(streamed)).at(-1)?.event, 'turn.completed');
    assert.equal(await exit, 0);
    servers = [await busy.restart(), ...servers.filter((server) => server !== busy)];
    await nginx.reload(servers);
    const { body } = await call(nginx.url, 'GET', `/sessions/${id}/messages`);
    assert.equal(body.data.at(-1).content, 'The answer');
  });

  interface Options {
    url?: string;
    localAddress?: string;
    headers?: Record<string, string>;
  }

  /** Over a connection of its own, with the path as it is written; resolves with the head of the answer. */
  async function ask(path: string, body?: object, options: Options = {}): Promise<IncomingMessage> {
    const { hostname, port } = new URL(options.url ?? nginx.url);
    const sent = request({
      hostname,
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  }
});

/** The one of them that runs a turn. */
async function busyServer(servers: readonly ParleyProcess[]): Promise<ParleyProcess> {
  for (const server of servers) {
    const { body } = await call(server.url, 'GET', '/metrics');
    if (body.turns.running > 0) return server;
  }
  throw new Error('no server runs a turn');
}
