/** Messages that are deleted: no model sees them any more, and nobody finds them, wherever one looks. */

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, send, stream } from './client.ts';
import { emptyDirectory, removeParley, runParley, startParleyIn } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const remove = (session: string, message: string) =>
  server.call('DELETE', `/sessions/${session}/messages/${message}`);

async function get(path: string): Promise<any> {
  const { status, body } = await server.call('GET', path);
  assert.equal(status, 200, path);
  return body;
}

const messagesOf = async (id: string): Promise<any[]> =>
  (await get(`/sessions/${id}/messages?limit=100`)).data;
const idsOf = async (id: string): Promise<string[]> => (await messagesOf(id)).map((message) => message.id);
const seen = () => server.double.last.body.messages.map((message: any) => message.content);

test('a message and an answer that were deleted do not reach the model, and are nowhere', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'a secret');
  await server.converse(id, 'b');
  const [asked, answer, ...others] = await idsOf(id);
  assert.equal((await remove(id, answer!)).status, 204);
  await server.converse(id, 'c');
  assert.deepEqual(seen(), ['a secret', 'b', 'You said: b', 'c']);
  assert.equal((await remove(id, asked!)).status, 204);
  await server.converse(id, 'd');
  assert.deepEqual(seen(), ['b', 'You said: b', 'c', 'You said: c', 'd']);
  assert.deepEqual((await idsOf(id)).slice(0, 2), others);

  const turn = await get(`/sessions/${id}/turns/${first.turn_id}`);
  assert.deepEqual([turn.status, turn.input, turn.output], ['completed', [], []]);
  const copy = (await server.call('POST', `/sessions/${id}/fork`)).body;
  for (const path of ['messages', 'turns', 'window', `turns/${first.turn_id}`]) {
    assert.doesNotMatch(JSON.stringify(await get(`/sessions/${id}/${path}`)), /secret/);
  }
  assert.doesNotMatch(JSON.stringify(await get(`/sessions/${copy.id}/turns`)), /secret/);
});

test('what is not there cannot be deleted, nor twice', async () => {
  const id = await server.newSession();
  const { turn_id: turnId } = await server.converse(id, 'a');
  const [asked] = await idsOf(id);
  for (const [session, message, code] of [
    [id, 'msg_unknown', 'item_not_found'],
    [id, turnId, 'item_not_found'],
    [await server.newSession(), asked!, 'item_not_found'],
    [turnId, asked!, 'session_not_found'],
  ] as const) {
    const { status, body } = await remove(session, message);
    assert.deepEqual([status, body.error.code], [404, code]);
  }
  const answers = await Promise.all([remove(id, asked!), remove(id, asked!)]);
  assert.deepEqual(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [204, 404],
  );
  const cursor = await server.call('GET', `/sessions/${id}/messages?after=${asked}`);
  assert.deepEqual([cursor.status, cursor.body.error.code], [400, 'invalid_cursor']);
});

test('a conversation of which nothing is left goes on with the new message alone', async () => {
  const id = await server.newSession({ instructions: 'Be brief.' });
  await server.converse(id, 'a', 'b');
  for (const message of await idsOf(id)) assert.equal((await remove(id, message)).status, 204);
  assert.deepEqual(await messagesOf(id), []);
  await server.converse(id, 'c');
  assert.deepEqual(seen(), ['Be brief.', 'c']);
});

test('a call whose result was deleted says so, and a result without its call is not shown', async () => {
  const tools = [{ type: 'function', function: { name: 'weather' } }];
  const options = { options: { tools } };
  for (const role of ['tool', 'assistant']) {
    const id = await server.newSession();
    server.double.respondOnce({ toolCalls: [{ id: 'c1', name: 'weather', arguments: '{}' }] });
    await server.send(id, 'Rain?', options);
    server.double.respondOnce({ text: 'After the tool' });
    await server.send(id, 'It rains.', { role: 'tool', tool_call_id: 'c1', ...options });
    const gone = (await messagesOf(id)).find((message) => message.role === role);
    assert.equal((await remove(id, gone.id)).status, 204);
    await server.converse(id, 'So?');
    const shown = server.double.last.body.messages.map((message: any) => [message.role, message.content]);
    const closed = [
      ['assistant', null],
      ['tool', 'No result was given for this call.'],
    ];
    assert.deepEqual(shown, [
      ['user', 'Rain?'],
      ...(role === 'tool' ? closed : []),
      ['assistant', 'After the tool'],
      ['user', 'So?'],
    ]);
  }
});

test('the events of a turn whose answer was deleted are the first and the last', async () => {
  const id = await server.newSession();
  const { events } = await stream(server.url, id, 'Hello');
  const turnId = events[0]?.data.turn_id;
  const path = `${server.url}/sessions/${id}/turns/${turnId}/events`;
  const answer = events.at(-1)?.data.message.id;
  assert.equal((await remove(id, answer)).status, 204);
  const read = async (query = '') => readEvents(await (await fetch(path + query)).text());
  const left = await read();
  assert.deepEqual(
    left.map(({ event }) => event),
    ['turn.started', 'turn.completed'],
  );
  assert.deepEqual(
    left[1]?.data.history.map((message: any) => message.content),
    ['Hello'],
  );
  assert.deepEqual(
    (await read('?after=2')).map(({ event, data }) => [event, data.error?.code]),
    [
      ['error', 'events_expired'],
      ['turn.completed', undefined],
    ],
  );
});

test('an answer that was deleted is not given to whoever sends its message again', async () => {
  const id = await server.newSession();
  const again = () =>
    server.call('POST', `/sessions/${id}/messages`, { content: 'Hello' }, { 'idempotency-key': 'k' });
  const first = await again();
  assert.equal((await remove(id, first.body.message.id)).status, 204);
  const second = await again();
  assert.deepEqual([second.status, second.body.turn_id], [200, first.body.turn_id]);
  assert.doesNotMatch(JSON.stringify(second.body), /You said/);
  assert.equal(server.double.requests.length, 1);
});

test('the input of a turn that runs can be deleted, and its answer stays', async () => {
  const id = await server.newSession();
  const release = Promise.withResolvers<void>();
  server.double.respondOnce({ text: 'Answer', waitBefore: release.promise });
  const sent = server.send(id, 'secret');
  await server.double.arrived(1);
  const { data } = await get(`/sessions/${id}/turns`);
  assert.equal((await remove(id, data[0].input[0].id)).status, 204);
  release.resolve();
  assert.equal((await sent).status, 200);
  assert.deepEqual(
    (await messagesOf(id)).map(({ content }) => content),
    ['Answer'],
  );
});

test('what was deleted stays so after kill -9, and no export has it', async (context) => {
  const double = await startProviderDouble();
  const directory = await emptyDirectory();
  context.after(() => double.close());
  context.after(() => rm(directory, { recursive: true, force: true }));
  const settings = { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'sk-double-key', OPENAI_MODEL: 'm' };
  let parley = await startParleyIn(directory, settings);
  context.after(() => removeParley(parley));
  const session = await newSession(parley.url);
  await send(parley.url, session, 'first secret');
  await send(parley.url, session, 'kept');
  const path = `/sessions/${session}/messages`;
  const [asked, answer] = (await call(parley.url, 'GET', path)).body.data;
  for (const { id } of [asked, answer]) {
    assert.equal((await call(parley.url, 'DELETE', `${path}/${id}`)).status, 204);
  }
  parley.process.kill('SIGKILL');
  parley = await parley.restart();
  const { body } = await call(parley.url, 'GET', path);
  assert.deepEqual(
    body.data.map(({ content }: any) => content),
    ['kept', 'You said: kept'],
  );
  assert.equal(await parley.stop(), 0);
  assert.equal((await runParley(directory, settings, ['export', '--to', 'all.jsonl'])).code, 0);
  const exported = await readFile(join(directory, 'all.jsonl'), 'utf8');
  assert.match(exported, /You said: kept/);
  assert.doesNotMatch(exported, /secret/);
});
