/** Turns that are stopped: by hand, by a client that leaves, by the next message. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { readEvents, stream } from './client.ts';
import { outputWith } from './parley-process.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

async function turnsOf(sessionId: string): Promise<any[]> {
  return (await server.call('GET', `/sessions/${sessionId}/turns`)).body.data;
}

async function textsOf(sessionId: string): Promise<string[]> {
  const { body } = await server.call('GET', `/sessions/${sessionId}/messages`);
  return body.data.map(({ content }: { content: string }) => content);
}

const cancel = (sessionId: string, turnId: string, body?: unknown) =>
  server.call('POST', `/sessions/${sessionId}/turns/${turnId}/cancel`, body);

/** The turn as it is stored when it is over: its stream ends with it. */
async function ended(sessionId: string, turnId: string): Promise<any> {
  await server.call('GET', `/sessions/${sessionId}/turns/${turnId}/events`);
  return (await server.call('GET', `/sessions/${sessionId}/turns/${turnId}`)).body;
}

/** Sends a message that can be broken off. */
function begin(sessionId: string, body: object, headers: Record<string, string> = {}) {
  const leave = new AbortController();
  const response = fetch(`${server.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ content: 'Hello', ...body }),
    signal: leave.signal,
  });
  response.catch(() => undefined);
  return { response, leave: () => leave.abort() };
}

/** Reads the stream until the text has come, and leaves it open. */
async function readUntil(response: Response, text: string): Promise<void> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let read = '';
  while (!read.includes(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `ended without ${text}: ${read}`);
    read += value;
  }
}

test('a turn that is cancelled before its first words leaves nothing', async () => {
  const id = await server.newSession();
  await server.converse(id, 'Before');
  server.double.respondOnce({ waitBefore: new Promise(() => undefined) });
  const waiting = server.send(id, 'Hello');
  const upstream = await server.double.arrived(2);
  const turnId = (await turnsOf(id))[1].id;
  const { status, body } = await cancel(id, turnId);
  assert.equal(status, 200);
  assert.deepEqual([body.id, body.status, body.error.code], [turnId, 'cancelled', 'turn_cancelled']);
  assert.deepEqual(body.output, []);
  await upstream.ended;
  assert.ok(upstream.aborted, 'the provider is told');

  const answer = await waiting;
  assert.deepEqual([answer.status, answer.body.error.code], [409, 'turn_cancelled']);
  assert.equal(answer.body.error.details.turn_id, turnId);
  assert.equal(answer.headers.get('x-should-retry'), 'false');
  assert.deepEqual(await textsOf(id), ['Before', 'You said: Before']);
  await server.converse(id, 'After');
  assert.equal(server.double.last.body.messages.length, 3);
});

test('a turn that is cancelled in the middle keeps what there was of its answer', async () => {
  const id = await server.newSession();
  server.double.respondOnce({
    text: ['Half ', 'an answer'],
    waitAt: { piece: 2, wait: new Promise(() => undefined) },
  });
  const answered = await begin(id, { stream: true }).response;
  const [reading, kept] = answered.body!.tee();
  await readUntil(new Response(reading), 'Half ');
  const [{ id: turnId }] = await turnsOf(id);
  const { body } = await cancel(id, turnId);
  assert.equal(body.status, 'cancelled');
  assert.deepEqual(
    body.output.map((item: any) => [item.type, item.status, item.content[0].text]),
    [['message', 'incomplete', 'Half ']],
  );
  const text = await new Response(kept).text();
  assert.match(text, /event: turn\.failed\ndata: \{"error":\{"code":"turn_cancelled"/);
  assert.deepEqual(await textsOf(id), ['Hello', 'Half ']);
  await server.converse(id, 'Go on');
  assert.deepEqual(
    server.double.last.body.messages.map(({ content }) => content),
    ['Hello', 'Half ', 'Go on'],
  );
});

test('a turn that is over stays as it is, however often it is cancelled', async () => {
  const id = await server.newSession();
  const { turn_id: turnId } = await server.converse(id, 'Hello');
  const { body: stored } = await server.call('GET', `/sessions/${id}/turns/${turnId}`);
  for (const sent of [undefined, {}]) assert.deepEqual((await cancel(id, turnId, sent)).body, stored);
  assert.equal((await cancel(id, turnId, { force: true })).status, 400);
  assert.equal((await cancel(id, id)).body.error.code, 'turn_not_found');
  assert.equal((await cancel(turnId, turnId)).body.error.code, 'session_not_found');
});

test('cancelled by many at once a turn ends once, and all are told the same', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ waitBefore: new Promise(() => undefined) });
  const waiting = server.send(id, 'Hello');
  await server.double.arrived(1);
  const [{ id: turnId }] = await turnsOf(id);
  const records = await Promise.all(Array.from({ length: 5 }, () => cancel(id, turnId)));
  for (const { body } of records) assert.deepEqual(body, records[0]?.body);
  assert.equal((await waiting).status, 409);
});

for (const stream of [true, false]) {
  test(`on_disconnect: cancel stops the turn with its client, ${stream ? '' : 'not '}streaming`, async () => {
    const id = await server.newSession();
    server.double.respondOnce({ waitBefore: new Promise(() => undefined) });
    const client = begin(id, { stream, on_disconnect: 'cancel' });
    const upstream = await server.double.arrived(1);
    client.leave();
    await upstream.ended;
    assert.ok(upstream.aborted);
    const [{ id: turnId }] = await turnsOf(id);
    const { status, error } = await ended(id, turnId);
    assert.deepEqual([status, error.code], ['cancelled', 'turn_cancelled']);
  });
}

test('on_disconnect: cancel in the middle of the stream', async () => {
  const id = await server.newSession();
  server.double.respondOnce({
    text: ['Half ', 'an answer'],
    waitAt: { piece: 2, wait: new Promise(() => undefined) },
  });
  const client = begin(id, { stream: true, on_disconnect: 'cancel' });
  const upstream = await server.double.arrived(1);
  await readUntil(await client.response, 'Half ');
  client.leave();
  await upstream.ended;
  const [{ id: turnId }] = await turnsOf(id);
  assert.equal((await ended(id, turnId)).status, 'cancelled');
  assert.deepEqual(await textsOf(id), ['Hello', 'Half ']);
});

test('a client that has its whole answer may leave', async () => {
  const id = await server.newSession();
  for (const stream of [true, false]) {
    const { status } = await server.send(id, 'Hello', { stream, on_disconnect: 'cancel' });
    assert.equal(status, 200);
  }
  assert.deepEqual(
    (await turnsOf(id)).map(({ status }) => status),
    ['completed', 'completed'],
  );
});

test('on_disconnect: cancel does not stop a turn that somebody else has started', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ text: ['Half ', 'an answer'], waitAt: { piece: 2, wait: gate.opened } });
  const key = { 'idempotency-key': 'k' };
  const starter = begin(id, { stream: true }, key);
  await server.double.arrived(1);
  const joined = begin(id, { stream: true, on_disconnect: 'cancel' }, key);
  await readUntil(await joined.response, 'Half ');
  joined.leave();
  await outputWith(server.parley, (output) => /"client_left":true/.test(lineOf(output, id)));
  gate.open();
  const events = readEvents(await (await starter.response).text());
  assert.equal(events.at(-1)?.data.message.content, 'Half an answer');
});

/** The log's lines of messages sent to a session. */
const lineOf = (output: string, id: string) =>
  output
    .split('\n')
    .filter((line) => line.includes(`"path":"/sessions/${id}/messages"`))
    .join('\n');

test('on_disconnect: cancel gives up a place in the queue', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ waitBefore: gate.opened });
  const first = server.send(id, 'one');
  await server.double.arrived(1);
  const second = request(`${server.url}/sessions/${id}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  second.on('error', () => undefined).end(JSON.stringify({ content: 'two', on_disconnect: 'cancel' }));
  await once(second, 'finish');
  // The bytes are with the system; a connection made later is read later.
  await once(request(`${server.url}/health`, { agent: false }).end(), 'response');
  second.destroy();
  await outputWith(server.parley, (output) => /"client_left":true/.test(lineOf(output, id)));
  const third = server.send(id, 'three');
  gate.open();
  assert.deepEqual([(await first).status, (await third).status], [200, 200]);
  assert.deepEqual(await textsOf(id), ['one', 'ok', 'three', 'You said: three']);
  assert.equal((await turnsOf(id)).length, 2);
});

test('on_busy: reject answers at once who runs, and that trying again is not wanted', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ waitBefore: gate.opened });
  const first = server.send(id, 'one');
  await server.double.arrived(1);
  const [{ id: turnId }] = await turnsOf(id);
  const { status, headers, body } = await server.send(id, 'two', { on_busy: 'reject' });
  assert.deepEqual([status, body.error.code, body.error.details.turn_id], [409, 'session_busy', turnId]);
  assert.equal(headers.get('x-should-retry'), 'false');
  gate.open();
  assert.equal((await first).status, 200);
  assert.equal((await server.send(id, 'two', { on_busy: 'reject' })).status, 200);
});

test('on_busy: interrupt cancels the running turn and comes next', async () => {
  const id = await server.newSession();
  server.double.respondOnce({
    text: ['Half ', 'an answer'],
    waitAt: { piece: 2, wait: new Promise(() => undefined) },
  });
  const first = begin(id, { content: 'one', stream: true });
  const upstream = await server.double.arrived(1);
  await readUntil(await first.response, 'Half ');
  const waiting = server.send(id, 'two');
  const { status, body } = await server.send(id, 'three', { on_busy: 'interrupt' });
  assert.equal(status, 200);
  await upstream.ended;
  assert.ok(upstream.aborted);
  assert.deepEqual(
    body.history.map(({ content }: { content: string }) => content),
    ['one', 'Half ', 'three', 'You said: three'],
  );
  assert.equal((await waiting).status, 200);
  first.leave();
});

test('on_busy: interrupt is a plain message where nothing runs', async () => {
  const id = await server.newSession();
  assert.equal((await server.send(id, 'one', { on_busy: 'interrupt' })).status, 200);
});

test('a session that is deleted takes its running turn with it', async () => {
  const id = await server.newSession();
  server.double.respondOnce({
    text: ['Half ', 'an answer'],
    waitAt: { piece: 2, wait: new Promise(() => undefined) },
  });
  const streamed = stream(server.url, id, 'Hello');
  const upstream = await server.double.arrived(1);
  assert.equal((await server.call('DELETE', `/sessions/${id}`)).status, 204);
  await upstream.ended;
  assert.ok(upstream.aborted);
  const { status, events } = await streamed;
  // Whether a token came before is a matter of time.
  if (status === 200) assert.equal(events.at(-1)?.data.error.code, 'session_not_found');
  else assert.equal(status, 404);
});
