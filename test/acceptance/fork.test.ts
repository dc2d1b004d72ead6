/** Forks over HTTP: a conversation copied up to a turn, which from then on goes its own way. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

async function get(path: string): Promise<any> {
  const { status, body } = await server.call('GET', path);
  assert.equal(status, 200);
  return body;
}

const contentsOf = async (id: string): Promise<string[]> =>
  (await get(`/sessions/${id}/messages?limit=100`)).data.map((message: any) => message.content);

async function fork(id: string, body?: object): Promise<any> {
  const answer = await server.call('POST', `/sessions/${id}/fork`, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  assert.equal(answer.headers.get('location'), `/sessions/${answer.body.id}`);
  return answer.body;
}

test('a fork has the settings and the whole conversation of its session', async () => {
  const settings = {
    title: 'Original',
    provider: 'openai',
    model: 'm',
    memory_limit: 10,
    max_context_tokens: 1000,
    instructions: 'Be brief.',
    metadata: { user: 'u' },
    fallback_providers: [],
  };
  const id = await server.newSession(settings);
  await server.converse(id, 'a', 'b');
  for (const body of [undefined, {}]) {
    const copy = await fork(id, body);
    assert.notEqual(copy.id, id);
    for (const [name, value] of Object.entries(settings)) assert.deepEqual(copy[name], value);
    assert.deepEqual(await contentsOf(copy.id), ['a', 'You said: a', 'b', 'You said: b']);
    const { data: turns } = await get(`/sessions/${copy.id}/turns`);
    assert.equal(copy.head_turn_id, turns.at(-1).id);
    assert.deepEqual(
      turns.map((turn: any) => turn.parent_turn_id),
      [null, turns[0].id],
    );
  }
});

test('a fork at a turn ends there', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'a');
  await server.converse(id, 'b', 'c');
  const copy = await fork(id, { turn_id: first.turn_id });
  assert.deepEqual(await contentsOf(copy.id), ['a', 'You said: a']);
  await server.converse(copy.id, 'd');
  assert.deepEqual(
    server.double.last.body.messages.map((message) => message.content),
    ['a', 'You said: a', 'd'],
  );
  assert.deepEqual((await contentsOf(id)).length, 6);
});

test('original and fork go on without each other, and outlive each other', async () => {
  const id = await server.newSession({ metadata: { of: 'original' } });
  await server.converse(id, 'a');
  const copy = await fork(id);
  await server.converse(id, 'b');
  await server.converse(copy.id, 'c');
  await server.call('PATCH', `/sessions/${copy.id}`, { metadata: { of: 'fork' } });
  assert.deepEqual(await contentsOf(id), ['a', 'You said: a', 'b', 'You said: b']);
  assert.deepEqual(await contentsOf(copy.id), ['a', 'You said: a', 'c', 'You said: c']);
  assert.deepEqual((await get(`/sessions/${id}`)).metadata, { of: 'original' });

  const again = await fork(copy.id);
  assert.equal((await server.call('DELETE', `/sessions/${id}`)).status, 204);
  await server.converse(copy.id, 'd');
  assert.deepEqual(
    server.double.last.body.messages.map((message) => message.content),
    ['a', 'You said: a', 'c', 'You said: c', 'd'],
  );
  assert.equal((await server.call('DELETE', `/sessions/${copy.id}`)).status, 204);
  await server.converse(again.id, 'e');
  assert.deepEqual(await contentsOf(again.id), ['a', 'You said: a', 'c', 'You said: c', 'e', 'You said: e']);
});

test('the messages of a fork are paged as those of its original', async () => {
  const id = await server.newSession();
  await server.converse(id, 'a', 'b', 'c');
  const copy = await fork(id);
  for (const session of [id, copy.id]) {
    const seen: string[] = [];
    let after = '';
    for (;;) {
      const page = await get(`/sessions/${session}/messages?limit=2&order=desc${after}`);
      seen.push(...page.data.map((message: any) => message.content));
      if (!page.has_more) break;
      after = `&after=${page.last_id}`;
    }
    assert.deepEqual(seen, (await contentsOf(session)).toReversed());
  }
});

test('an empty session forks into an empty session', async () => {
  const copy = await fork(await server.newSession({ title: 'Blank' }));
  assert.deepEqual([copy.title, copy.head_turn_id], ['Blank', null]);
  await server.converse(copy.id, 'a');
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content: 'a' }]);
});

test('failed turns are not copied, and cannot be forked at', async () => {
  const id = await server.newSession();
  await server.converse(id, 'a');
  server.double.respondOnce({ status: 404 });
  const failed = await server.send(id, 'lost');
  const turnId = failed.body.error.details.turn_id;
  const refused = await server.call('POST', `/sessions/${id}/fork`, { turn_id: turnId });
  assert.deepEqual([refused.status, refused.body.error.code], [400, 'parent_not_usable']);
  const copy = await fork(id);
  assert.equal((await get(`/sessions/${copy.id}/turns`)).data.length, 1);
});

test('a fork needs a turn of its session, and a session', async () => {
  const id = await server.newSession();
  const other = await server.newSession();
  const { turn_id: turnId } = await server.converse(other, 'a');
  for (const [session, body, status, code] of [
    [id, { turn_id: turnId }, 404, 'turn_not_found'],
    [id, { turn_id: other }, 404, 'turn_not_found'],
    [turnId, {}, 404, 'session_not_found'],
    [id, { turn_id: 'x' }, 400, 'invalid_request'],
    [id, { turn_id: 1 }, 400, 'invalid_request'],
    [id, { turn: turnId }, 400, 'invalid_request'],
    [id, [], 400, 'invalid_request'],
  ] as const) {
    const answer = await server.call('POST', `/sessions/${session}/fork`, body);
    assert.deepEqual([answer.status, answer.body.error.code], [status, code], JSON.stringify(body));
  }
});
