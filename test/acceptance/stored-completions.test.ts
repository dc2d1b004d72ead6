/** Chat completions that are stored, by HTTP alone: read, listed, changed and deleted, and seen through the other doors. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { callOpenAI, completionClient } from './completion-client.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ API_KEYS: 'ada:key-of-ada,bob:key-of-bob,eve:key-of-eve' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const PATH = '/v1/chat/completions';
const keyOf = (name: string) => ({ authorization: `Bearer key-of-${name}` });
const { complete, streamed } = completionClient(() => server.url, keyOf('ada'));
const ask = (method: string, path: string, body?: object, owner = 'ada') =>
  callOpenAI(server.url, method, path, body, keyOf(owner));
const user = (content: unknown) => ({ role: 'user', content });
const stored = async (body: object = {}, headers: Record<string, string> = {}) =>
  complete({ messages: [user('Hello')], store: true, ...body }, headers);

test('a stored completion is read as it was answered, with its metadata and its messages', async () => {
  const image = { type: 'image_url', image_url: { url: 'https://images.example/1.png' } };
  const called = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
  const messages = [
    { role: 'system', content: 'Be kind', name: 's' },
    user([{ type: 'text', text: 'Look' }, image]),
    { role: 'assistant', content: 'Hm.', tool_calls: [called] },
    { role: 'tool', tool_call_id: 'c', content: 'r' },
    user('Go on'),
  ];
  const { body: made } = await stored({ messages, metadata: { a: 'b' }, temperature: 0.5, logprobs: true });
  const { store, metadata, ...sent } = server.double.last.body;
  assert.deepEqual([sent['messages'], sent['temperature'], sent['logprobs']], [messages, 0.5, true]);
  assert.deepEqual([store, metadata], [undefined, undefined]);
  const { body: read } = await ask('GET', `${PATH}/${made.id}`);
  assert.deepEqual(read, { ...made, metadata: { a: 'b' } });

  const { body: asked } = await ask('GET', `${PATH}/${made.id}/messages`);
  assert.deepEqual(
    asked.data.map((message: object) => ({ ...message, id: undefined })),
    [
      { role: 'system', content: 'Be kind', content_parts: null },
      { role: 'user', content: 'Look', content_parts: [{ type: 'text', text: 'Look' }, image] },
      { role: 'assistant', content: 'Hm.', content_parts: null, tool_calls: [called] },
      { role: 'tool', content: 'r', content_parts: null, tool_call_id: 'c' },
      { role: 'user', content: 'Go on', content_parts: null },
    ].map((message) => ({ ...message, id: undefined })),
  );
  const [first, , , , last] = asked.data;
  const newest = await ask('GET', `${PATH}/${made.id}/messages?order=desc&limit=1`);
  assert.deepEqual([newest.body.data, newest.body.has_more], [[last], true]);
  const second = await ask('GET', `${PATH}/${made.id}/messages?after=${first.id}&limit=1`);
  assert.deepEqual(second.body.data, [asked.data[1]]);
  assert.equal(
    (await ask('GET', `${PATH}/${made.id}/messages?after=nobody`)).body.error.code,
    'invalid_cursor',
  );
});

test('a streamed one is stored as well, and is a turn of a session of its own', async () => {
  const chunks = await streamed({ messages: [user('Hello')], store: true });
  assert.equal(chunks.pop(), null);
  const { body: read } = await ask('GET', `${PATH}/${chunks[0].id}`);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  assert.deepEqual([read.id, read.choices[0].message.content], [chunks[0].id, text]);
  const { headers, body: made } = await stored();
  const session = headers.get('x-session-id');
  const turn = headers.get('x-turn-id');
  const { body: native } = await ask('GET', `/sessions/${session}/turns/${turn}`);
  assert.equal(native.output[0].content[0].text, 'You said: Hello');
  const goes = await complete({ messages: [user('And?')] }, { 'x-session-id': String(session) });
  assert.deepEqual(
    server.double.last.body.messages.map(({ content }) => content),
    ['Hello', 'You said: Hello', 'And?'],
  );
  // Its session went on, and it is what it was; what followed can be read as well, and is not in the list.
  const { body: all } = await ask('GET', `${PATH}?limit=100`);
  const ids = new Set(all.data.map(({ id }: { id: string }) => id));
  assert.ok(ids.has(made.id) && !ids.has(goes.body.id));
  assert.deepEqual((await ask('GET', `${PATH}/${goes.body.id}`)).body, goes.body);
  assert.deepEqual((await ask('GET', `${PATH}/${made.id}`)).body, { ...made, metadata: {} });
});

test('the list is by metadata, by model, in both orders and in pages', async () => {
  const made: string[] = [];
  for (const [index, model] of ['one', 'two', 'one', 'two', 'one'].entries()) {
    const metadata = { part: String(index % 2), list: 'mine' };
    const { body } = await complete({ messages: [user(model)], model, store: true, metadata }, keyOf('bob'));
    made.push(body.id);
  }
  // Neither of these is in it.
  await complete({ messages: [user('x')] }, keyOf('bob'));
  await ask('POST', '/v1/responses', { input: 'x' }, 'bob');
  await ask('POST', '/sessions', { metadata: { list: 'mine' } }, 'bob');
  const listed = async (query: string, owner = 'bob') => {
    const { status, body } = await ask('GET', `${PATH}${query}`, undefined, owner);
    assert.equal(status, 200);
    const ids = body.data.map(({ id }: { id: string }) => id);
    assert.deepEqual([body.first_id, body.last_id], [ids.at(0) ?? null, ids.at(-1) ?? null]);
    return [ids, body.has_more];
  };
  assert.deepEqual(await listed(''), [made, false]);
  assert.deepEqual(await listed('?order=desc'), [made.toReversed(), false]);
  assert.deepEqual(await listed('?limit=2'), [made.slice(0, 2), true]);
  assert.deepEqual(await listed(`?limit=2&after=${made[1]}`), [made.slice(2, 4), true]);
  assert.deepEqual(await listed(`?limit=2&after=${made[3]}`), [made.slice(4), false]);
  assert.deepEqual(await listed('?metadata[part]=1&metadata[list]=mine'), [[made[1], made[3]], false]);
  assert.deepEqual(await listed('?model=one'), [[made[0], made[2], made[4]], false]);
  assert.deepEqual(await listed('?model=one&limit=2'), [[made[0], made[2]], true]);
  assert.deepEqual(await listed(`?model=one&limit=2&after=${made[2]}`), [[made[4]], false]);
  assert.deepEqual(await listed('?model=none'), [[], false]);
  assert.deepEqual(await listed('', 'eve'), [[], false]);
  assert.equal((await ask('GET', `${PATH}?after=chatcmpl-1`)).body.error.code, 'invalid_cursor');
});

test('metadata are changed as a whole, and say what the session is', async () => {
  const { body: made, headers } = await stored({ metadata: { a: 'b' } });
  const { body: changed } = await ask('POST', `${PATH}/${made.id}`, { metadata: { c: 'd' } });
  assert.deepEqual(changed.metadata, { c: 'd' });
  assert.deepEqual((await ask('GET', `${PATH}/${made.id}`)).body, changed);
  const { body: session } = await ask('GET', `/sessions/${headers.get('x-session-id')}`);
  assert.deepEqual(session.metadata, { c: 'd', parley_object: 'chat.completion' });
  for (const metadata of [{ a: 1 }, { parley_object: 'x' }, 'x']) {
    const { status, body } = await ask('POST', `${PATH}/${made.id}`, { metadata });
    assert.deepEqual([status, body.error.code], [400, 'invalid_request']);
    assert.equal((await stored({ metadata })).status, 400);
  }
});

test('a deleted one is gone with its session; of another session nothing but the turn', async () => {
  const { body: made, headers } = await stored();
  const { body: deleted } = await ask('DELETE', `${PATH}/${made.id}`);
  assert.equal(deleted.id, made.id);
  assert.equal((await ask('GET', `/sessions/${headers.get('x-session-id')}`)).status, 404);

  const { body: session } = await ask('POST', '/sessions', {});
  const named = { 'x-session-id': session.id };
  const one = await complete({ messages: [user('One')], store: true }, named);
  const two = await complete({ messages: [user('Two')] }, named);
  const refused = await ask('POST', `${PATH}/${one.body.id}`, { metadata: { a: 'b' } });
  assert.deepEqual([refused.status, refused.body.error.code], [400, 'unsupported_parameter']);
  assert.equal((await ask('DELETE', `${PATH}/${one.body.id}`)).status, 200);
  assert.equal((await ask('GET', `${PATH}/${two.body.id}`)).status, 200);
  await complete({ messages: [user('Three')] }, named);
  assert.deepEqual(
    server.double.last.body.messages.map(({ content }) => content),
    ['Two', 'You said: Two', 'Three'],
  );
  for (const id of [made.id, one.body.id, 'chatcmpl-1', `chatcmpl-${'0'.repeat(64)}`]) {
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['POST', '', { metadata: {} }],
      ['DELETE', '', undefined],
      ['GET', '/messages', undefined],
    ] as const) {
      const { status, body: answer } = await ask(method, `${PATH}/${id}${path}`, body);
      assert.deepEqual([status, answer.error.code], [404, 'completion_not_found'], id);
    }
  }
});

test('nobody else finds it, and one that failed is none', async () => {
  const { body: made } = await stored();
  assert.equal((await ask('GET', `${PATH}/${made.id}`, undefined, 'eve')).status, 404);
  assert.equal((await ask('DELETE', `${PATH}/${made.id}`, undefined, 'eve')).status, 404);
  assert.equal((await ask('GET', `${PATH}/${made.id}`)).status, 200);
  server.double.respondOnce({ status: 400 });
  const { status } = await complete({ messages: [user('x')], store: true }, keyOf('eve'));
  assert.equal(status, 400);
  assert.deepEqual((await ask('GET', PATH, undefined, 'eve')).body.data, []);
});

test('what cannot be stored is refused, and reaches the provider where nothing is stored', async () => {
  const messages = [user([{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }])];
  const { status, body } = await stored({ messages });
  assert.deepEqual([status, body.error.code], [400, 'unsupported_parameter']);
  assert.equal((await complete({ messages })).status, 200);
});

test('a library that sends again by itself gets the same completion', async () => {
  const tried = (count: number) => stored({}, { 'x-stainless-retry-count': String(count) });
  const ids = [];
  for (const count of [0, 1, 0]) ids.push((await tried(count)).body.id);
  assert.equal(ids[0], ids[1]);
  assert.notEqual(ids[0], ids[2]);
  server.double.respondOnce({ status: 400 });
  const headers = (count: number) => ({ ...keyOf('eve'), 'x-stainless-retry-count': String(count) });
  assert.equal((await stored({}, headers(0))).status, 400);
  const { body: made } = await stored({}, headers(1));
  const { body: all } = await ask('GET', PATH, undefined, 'eve');
  assert.deepEqual(
    all.data.map(({ id }: { id: string }) => id),
    [made.id],
  );
});
