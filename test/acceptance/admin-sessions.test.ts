/** Sessions of any owner by HTTP: listed, read and deleted by whoever has the token of the administration. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const ADMIN = { 'x-admin-token': 'admin' };
const ADA = { 'x-api-key': 'key-of-ada' };
const BOB = { 'x-api-key': 'key-of-bob' };

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ ADMIN_TOKEN: 'admin', API_KEYS: 'ada:key-of-ada,bob:key-of-bob' });
});
after(() => server.close());

const admin = (method: string, path: string) => server.call(method, `/admin${path}`, undefined, ADMIN);

async function sessionOf(who: Record<string, string>, settings: object = {}): Promise<string> {
  return (await server.call('POST', '/sessions', settings, who)).body.id;
}

const send = (who: Record<string, string>, sessionId: string, content: string) =>
  server.call('POST', `/sessions/${sessionId}/messages`, { content }, who);

/** Follows a list to its end, as its description says. */
async function all(path: string): Promise<any[]> {
  const found: any[] = [];
  for (let after = ''; ; ) {
    const { status, body } = await admin('GET', `${path}&limit=2${after}`);
    assert.equal(status, 200);
    found.push(...body.data);
    if (!body.has_more) return found;
    after = `&after=${body.last_id}`;
  }
}

const ids = (elements: readonly { id: string }[]) => elements.map(({ id }) => id);

test('sessions of all owners are listed newest first, or those of one', async () => {
  const sessions = [await sessionOf(ADA), await sessionOf(BOB, { title: 'Of Bob' }), await sessionOf(ADA)];
  const everybody = await all('/sessions?order=desc');
  assert.deepEqual(ids(everybody).slice(0, 3), sessions.toReversed());
  assert.deepEqual([everybody[1].owner, everybody[1].title], ['static:bob', 'Of Bob']);
  assert.deepEqual(ids(await all('/sessions?order=asc')).slice(-3), sessions);
  const ofBob = await all('/sessions?owner=static%3Abob');
  assert.ok(ofBob.every(({ owner }) => owner === 'static:bob'));
  assert.equal(ofBob[0].id, sessions[1]);
  assert.deepEqual(await all('/sessions?owner=nobody'), []);
});

test('a session is read with its owner and its messages, as the owner reads it', async () => {
  const id = await sessionOf(BOB, { instructions: 'Be brief.' });
  await send(BOB, id, 'Hello');
  const { body: session } = await admin('GET', `/sessions/${id}`);
  const { body: own } = await server.call('GET', `/sessions/${id}`, undefined, BOB);
  assert.deepEqual(session, { ...own, owner: 'static:bob' });
  const { body: messages } = await admin('GET', `/sessions/${id}/messages`);
  const { body: ownMessages } = await server.call('GET', `/sessions/${id}/messages`, undefined, BOB);
  assert.deepEqual(messages, ownMessages);
  assert.equal(messages.data.length, 2);
  const page = await admin('GET', `/sessions/${id}/messages?limit=1&after=${messages.first_id}`);
  assert.deepEqual(page.body.data, messages.data.slice(1));
});

test('a session that is not there, or has expired, is missing for operators as well', async () => {
  const brief = await sessionOf(ADA, { ttl_seconds: 1 });
  const { body } = await admin('GET', `/sessions/${brief}`);
  // The server's clock is this machine's.
  while (Date.now() <= Date.parse(body.expires_at)) await pause(Date.parse(body.expires_at) - Date.now() + 1);
  for (const id of [brief, '01900000-0000-7000-8000-000000000000', 'x']) {
    for (const path of [`/sessions/${id}`, `/sessions/${id}/messages`]) {
      const { status, body } = await admin('GET', path);
      assert.deepEqual([status, body.error.code], [404, 'session_not_found'], path);
    }
  }
  assert.ok(!ids(await all('/sessions?order=desc')).includes(brief));
  const { status, body: refusal } = await admin('DELETE', '/sessions/x');
  assert.deepEqual([status, refusal.error.code], [404, 'session_not_found']);
});

test('a session that is deleted is gone for its owner, with the turn that runs, and the log knows', async () => {
  const id = await sessionOf(ADA);
  const gate = createGate();
  server.double.respondOnce({ waitBefore: gate.opened });
  const answer = send(ADA, id, 'Hello');
  await server.double.arrived(server.double.requests.length + 1);
  assert.equal((await admin('DELETE', `/sessions/${id}`)).status, 204);
  const { status, body } = await answer;
  gate.open();
  assert.deepEqual([status, body.error.code], [404, 'session_not_found']);
  assert.equal((await server.call('GET', `/sessions/${id}`, undefined, ADA)).status, 404);
  const { body: audit } = await admin('GET', '/audit?limit=1');
  const [{ action, subject, details }] = audit.data;
  assert.deepEqual([action, subject, details], ['session.delete', id, { owner: 'static:ada' }]);
});

test('all sessions of an owner are deleted, of a client that is deleted as well, and of nobody else', async () => {
  const { body: client } = await server.call('POST', '/admin/clients', { name: 'shop' }, ADMIN);
  const shop = { 'x-api-key': client.key.key };
  const sessions: string[] = [];
  for (let index = 0; index < 230; index += 1) sessions.push(await sessionOf(shop));
  const foreign = await sessionOf(BOB);
  await server.call('DELETE', `/admin/clients/${client.id}`, undefined, ADMIN);
  assert.equal((await all(`/sessions?owner=${client.id}`)).length, 230);
  const { status, body } = await admin('DELETE', `/sessions?owner=${client.id}`);
  assert.deepEqual([status, body], [200, { object: 'deleted_sessions', owner: client.id, deleted: 230 }]);
  assert.deepEqual(await all(`/sessions?owner=${client.id}`), []);
  assert.equal((await admin('GET', `/sessions/${foreign}`)).status, 200);
  assert.equal((await admin('DELETE', `/sessions?owner=${client.id}`)).body.deleted, 0);

  const { body: audit } = await admin('GET', '/audit?limit=4');
  const entries = audit.data.filter(({ action }: any) => action === 'owner.delete_sessions');
  assert.ok(entries.every(({ subject }: any) => subject === client.id));
  const named = entries.flatMap(({ details }: any) => details.sessions);
  assert.deepEqual([entries.length, named.toSorted()], [3, sessions]);
});

test('without an owner nothing is deleted, and without the token nobody is answered', async () => {
  const id = await sessionOf(ADA);
  for (const query of ['', '?owner=', '?owner=a&owner=b']) {
    const { status, body } = await admin('DELETE', `/sessions${query}`);
    assert.deepEqual([status, body.error.code], [400, 'invalid_request'], query);
  }
  for (const [method, path] of [
    ['GET', '/admin/sessions'],
    ['GET', `/admin/sessions/${id}`],
    ['GET', `/admin/sessions/${id}/messages`],
    ['DELETE', `/admin/sessions/${id}`],
    ['DELETE', '/admin/sessions?owner=static:ada'],
  ] as const) {
    const { status, body } = await server.call(method, path, undefined, ADA);
    assert.deepEqual([status, body.error.code], [401, 'missing_admin_token'], path);
  }
  assert.equal((await admin('GET', `/sessions/${id}`)).status, 200);
});
