/** `/v1/conversations` by HTTP alone: what is put in is seen by the model, what is taken out is not. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { callOpenAI } from './completion-client.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ API_KEYS: 'ada:key-of-ada,bob:key-of-bob' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const ask = (method: string, path: string, body?: object, key = 'key-of-ada') =>
  callOpenAI(server.url, method, path, body, { authorization: `Bearer ${key}` });
const user = (content: string) => ({ role: 'user', content });
const said = (data: any[]) => data.map(({ content }) => content[0].text);
const seen = () => server.double.last.body.messages.map(({ content }) => content);

async function conversation(body: object = {}): Promise<{ id: string; url: string; session: string }> {
  const { status, body: made } = await ask('POST', '/v1/conversations', body);
  assert.equal(status, 200, JSON.stringify(made));
  assert.equal(made.object, 'conversation');
  const session = made.id.replace(/^conv_(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { id: made.id, url: `/v1/conversations/${made.id}`, session };
}

test('items reach the model, those added later too, and deleted ones do not', async () => {
  const items = [user('I am Ada'), { type: 'message', role: 'assistant', content: 'Welcome' }];
  const { id, url, session } = await conversation({ items, metadata: { a: 'b' } });
  const { body: added } = await ask('POST', `${url}/items`, { items: [user('I like tea'), user('and jam')] });
  assert.deepEqual(
    [added.object, said(added.data), added.has_more],
    ['list', ['I like tea', 'and jam'], false],
  );
  assert.equal(server.double.requests.length, 0);

  await ask('POST', '/v1/responses', { conversation: id, input: 'Who am I?' });
  assert.deepEqual(seen(), ['I am Ada', 'Welcome', 'I like tea', 'and jam', 'Who am I?']);
  const { body: read } = await ask('GET', `${url}/items/${added.data[0].id}`);
  assert.deepEqual(read, added.data[0]);

  const deleted = await ask('DELETE', `${url}/items/${added.data[0].id}`);
  assert.deepEqual([deleted.status, deleted.body.id, deleted.body.metadata], [200, id, { a: 'b' }]);
  assert.equal((await ask('GET', `${url}/items/${added.data[0].id}`)).status, 404);
  await ask('POST', `/sessions/${session}/messages`, { content: 'And now?' });
  const left = ['I am Ada', 'Welcome', 'and jam', 'Who am I?', 'You said: Who am I?', 'And now?'];
  assert.deepEqual(seen(), left);
  const { body: listed } = await ask('GET', `${url}/items?order=asc`);
  assert.deepEqual(said(listed.data), [...left, 'You said: And now?']);
});

test('what has been called and answered can be brought along', async () => {
  const call_id = 'call_1';
  const { id, url } = await conversation({
    items: [
      user('Rome?'),
      { type: 'function_call', call_id, name: 'weather', arguments: '{}' },
      { type: 'function_call_output', call_id, output: 'sunny' },
    ],
  });
  await ask('POST', '/v1/responses', { conversation: id, input: 'And?' });
  assert.deepEqual(
    server.double.last.body.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool', 'user'],
  );
  const { status, body } = await ask('POST', `${url}/items`, {
    items: [{ type: 'function_call_output', call_id: 'call_none', output: 'x' }],
  });
  assert.equal(status, 400);
  assert.match(body.error.message, /call_none/);

  const { body: before } = await ask('GET', '/v1/conversations');
  const orphan = [{ type: 'function_call_output', call_id: 'call_none', output: 'x' }];
  assert.equal((await ask('POST', '/v1/conversations', { items: orphan })).status, 400);
  assert.deepEqual((await ask('GET', '/v1/conversations')).body, before);
});

test('pages of items, in both orders, however far back', async () => {
  const { url } = await conversation();
  const texts = Array.from({ length: 150 }, (_, index) => `m${index}`);
  for (let start = 0; start < texts.length; start += 15) {
    const items = texts.slice(start, start + 15).map(user);
    assert.equal((await ask('POST', `${url}/items`, { items })).status, 200);
  }
  for (const [order, expected] of [
    ['asc', texts],
    ['desc', texts.toReversed()],
  ] as const) {
    const found: string[] = [];
    for (let more = '', has = true; has; ) {
      const { body } = await ask('GET', `${url}/items?limit=40&order=${order}${more}`);
      found.push(...said(body.data));
      assert.deepEqual([body.first_id, body.last_id], [body.data[0].id, body.data.at(-1).id]);
      [more, has] = [`&after=${body.last_id}`, body.has_more];
    }
    assert.deepEqual(found, expected, order);
  }
  const { status, body } = await ask('GET', `${url}/items?after=msg_none`);
  assert.deepEqual([status, body.error.code], [400, 'invalid_cursor']);
});

test('while a response is being made, nothing is added', async () => {
  const { id, url } = await conversation();
  const gate = createGate();
  server.double.respondOnce({ text: ['x'], waitBefore: gate.opened });
  const running = ask('POST', '/v1/responses', { conversation: id, input: 'wait' });
  await server.double.arrived(1);
  const { status, body } = await ask('POST', `${url}/items`, { items: [user('now')] });
  assert.deepEqual([status, body.error.code], [400, 'conversation_locked']);
  gate.open();
  assert.equal((await running).status, 200);
  assert.equal((await ask('POST', `${url}/items`, { items: [user('now')] })).status, 200);
});

test('conversations are listed, changed and deleted, and are sessions', async () => {
  const first = await conversation({ metadata: { n: '1' } });
  const second = await conversation();
  const { body: page } = await ask('GET', '/v1/conversations?limit=1');
  assert.deepEqual([page.data[0].id, page.has_more, page.last_id], [second.id, true, second.id]);
  const { body: next } = await ask('GET', `/v1/conversations?limit=1&after=${page.last_id}`);
  assert.deepEqual([next.data[0].id, next.data[0].metadata], [first.id, { n: '1' }]);

  const { body: changed } = await ask('POST', first.url, { metadata: { other: '2' } });
  assert.deepEqual([changed.id, changed.metadata], [first.id, { other: '2' }]);
  const { body: session } = await ask('GET', `/sessions/${first.session}`);
  assert.deepEqual(session.metadata, { other: '2' });
  const { body: native } = await ask('POST', '/sessions', {});
  assert.equal((await ask('GET', `/v1/conversations/conv_${native.id.replaceAll('-', '')}`)).status, 200);

  const { body: gone } = await ask('DELETE', first.url);
  assert.deepEqual(gone, { id: first.id, object: 'conversation.deleted', deleted: true });
  assert.equal((await ask('GET', first.url)).status, 404);
  assert.equal((await ask('GET', `/sessions/${first.session}`)).status, 404);
});

test("somebody else's conversation is not there, in the same words as none", async () => {
  const { id, url } = await conversation({ items: [user('secret')] });
  const { body: items } = await ask('GET', `${url}/items`);
  const itemId = items.data[0].id;
  const none = `/v1/conversations/conv_${'0'.repeat(32)}`;
  for (const [method, path, body] of [
    ['GET', ''],
    ['POST', '', { metadata: {} }],
    ['DELETE', ''],
    ['GET', '/items'],
    ['POST', '/items', { items: [user('x')] }],
    ['GET', `/items/${itemId}`],
    ['DELETE', `/items/${itemId}`],
  ] as const) {
    const theirs = await ask(method, `${url}${path}`, body, 'key-of-bob');
    const missing = await ask(method, `${none}${path}`, body, 'key-of-bob');
    const words = ({ body: { error } }: typeof theirs) => [error.code, error.message, error.param];
    assert.deepEqual([theirs.status, words(theirs)], [404, words(missing)], `${method} ${path}`);
  }
  assert.deepEqual((await ask('GET', '/v1/conversations', undefined, 'key-of-bob')).body.data, []);
  assert.equal((await ask('GET', `/v1/conversations/${id}/items`)).body.data.length, 1);
});

test('what is wrong is said with its place, and nothing of it is kept', async () => {
  const { url } = await conversation({ items: [{ ...user('x'), id: 'msg_mine' }] });
  const pairs = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v']));
  const many = Array.from({ length: 21 }, () => user('x'));
  for (const [path, body, param] of [
    ['/v1/conversations', { metadata: pairs }, 'metadata'],
    ['/v1/conversations', { items: many }, 'items'],
    ['/v1/conversations', { unknown: 1 }, 'unknown'],
    ['/v1/conversations', { items: [user('x'), { type: 'none' }] }, 'items[1].type'],
    [`${url}/items`, { items: many }, 'items'],
    [`${url}/items`, { items: [] }, 'items'],
    [`${url}/items`, {}, 'items'],
    [`${url}/items`, { items: [{ type: 'item_reference', id: 'msg_mine' }] }, 'items[0].type'],
    [`${url}/items`, { items: [{ ...user('x'), id: 'msg_mine' }] }, 'items[0].id'],
    [`${url}/items`, { items: [1, 2].map(() => ({ ...user('x'), id: 'msg_twice' })) }, 'items[1].id'],
    [url, { items: [] }, 'items'],
  ] as const) {
    const { status, body: answer } = await ask('POST', path, body);
    assert.deepEqual([status, answer.error.param], [400, param], `${path} ${JSON.stringify(body)}`);
  }
  assert.equal((await ask('GET', `${url}/items`)).body.data.length, 1);
});

test('a request that a library sends again adds once', async () => {
  const { url } = await conversation();
  const headers = { authorization: 'Bearer key-of-ada', 'x-stainless-retry-count': '0' };
  const body = { items: [{ ...user('once'), id: 'msg_once' }, user('without an id')] };
  const first = await callOpenAI(server.url, 'POST', `${url}/items`, body, headers);
  const again = await callOpenAI(server.url, 'POST', `${url}/items`, body, {
    ...headers,
    'x-stainless-retry-count': '1',
  });
  assert.deepEqual([again.status, again.body.data], [200, first.body.data]);
  assert.equal((await ask('GET', `${url}/items`)).body.data.length, 2);
});
