/** Sessions with an end: they are gone when it has come, wherever one looks. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { call, newSession, send } from './client.ts';
import { outputWith, removeParley, startParley } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

/** Long enough to send a message in. */
const RETENTION_SECONDS = 3;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());

/** The server's clock is this machine's. */
async function passed(time: string): Promise<void> {
  while (Date.now() <= Date.parse(time)) await delay(Date.parse(time) - Date.now() + 1);
}

const get = async (id: string) => (await server.call('GET', `/sessions/${id}`)).body;

test('a session says when it ends, which every change puts off', async () => {
  const { body: session } = await server.call('POST', '/sessions', { ttl_seconds: 1000 });
  assert.equal(session.ttl_seconds, 1000);
  assert.equal(Date.parse(session.expires_at), Date.parse(session.updated_at) + 1_000_000);
  await passed(session.updated_at);
  await server.converse(session.id, 'Hello');
  const used = await get(session.id);
  assert.ok(used.expires_at > session.expires_at);
  await passed(used.updated_at);
  const { body: changed } = await server.call('PATCH', `/sessions/${session.id}`, { title: 'x' });
  assert.ok(changed.expires_at > used.expires_at);
  const { body: kept } = await server.call('PATCH', `/sessions/${session.id}`, { ttl_seconds: null });
  assert.deepEqual([kept.ttl_seconds, kept.expires_at], [null, null]);
});

test('without ttl_seconds a session stays', async () => {
  const { body } = await server.call('POST', '/sessions');
  assert.deepEqual([body.ttl_seconds, body.expires_at], [null, null]);
});

test('ttl_seconds is a whole number from 1 to 315360000, or null', async () => {
  const id = await server.newSession();
  for (const wrong of [0, -1, 1.5, 315_360_001, '60', true]) {
    assert.equal((await server.call('POST', '/sessions', { ttl_seconds: wrong })).status, 400, String(wrong));
    assert.equal((await server.call('PATCH', `/sessions/${id}`, { ttl_seconds: wrong })).status, 400);
  }
  for (const right of [1, 315_360_000, null]) {
    assert.equal((await server.call('POST', '/sessions', { ttl_seconds: right })).status, 201, String(right));
  }
});

test('a session whose end has come is answered as one that never was', async () => {
  const key = { 'idempotency-key': 'k' };
  const settings = { ttl_seconds: 1000, metadata: { mark: 'ends' } };
  const { body: session } = await server.call('POST', '/sessions', settings, key);
  const id = session.id;
  await server.newSession({ metadata: { mark: 'ends' } });
  const { turn_id: turnId } = await server.converse(id, 'Hello');
  const { body: ending } = await server.call('PATCH', `/sessions/${id}`, { ttl_seconds: 1 });
  await passed(ending.expires_at);
  const turn = `/sessions/${id}/turns/${turnId}`;
  for (const [method, path, body] of [
    ['GET', `/sessions/${id}`],
    ['PATCH', `/sessions/${id}`, { ttl_seconds: null }],
    ['POST', `/sessions/${id}/messages`, { content: 'x' }],
    ['GET', `/sessions/${id}/messages`],
    ['GET', `/sessions/${id}/window`],
    ['GET', `/sessions/${id}/turns`],
    ['GET', turn],
    ['GET', `${turn}/events`],
    ['POST', `${turn}/cancel`],
    ['POST', `/sessions/${id}/fork`],
    ['DELETE', `/sessions/${id}`],
  ] as const) {
    const answer = await server.call(method, path, body);
    assert.deepEqual(
      [answer.status, answer.body.error?.code],
      [404, 'session_not_found'],
      `${method} ${path}`,
    );
  }
  const { body: list } = await server.call('GET', '/sessions?metadata[mark]=ends&limit=1&order=asc');
  assert.equal(list.data.length, 1);
  assert.notEqual(list.data[0].id, id);
  const again = await server.call('POST', '/sessions', settings, key);
  assert.deepEqual([again.status, again.headers.get('idempotent-replayed')], [201, null]);
  assert.notEqual(again.body.id, id);
});

test('SESSION_RETENTION_DAYS sweeps away what nobody has changed for so long', async (t) => {
  const parley = await startParley({ SESSION_RETENTION_DAYS: String(RETENTION_SECONDS / 86_400) });
  t.after(() => removeParley(parley));
  const id = await newSession(parley.url);
  assert.equal((await send(parley.url, id, 'Hello')).status, 200);
  await outputWith(parley, (output) => output.includes('"msg":"swept"'));
  const { status, body } = await call(parley.url, 'GET', `/sessions/${id}`);
  assert.deepEqual([status, body.error.code], [404, 'session_not_found']);
  assert.deepEqual((await call(parley.url, 'GET', '/sessions')).body.data, []);
});
