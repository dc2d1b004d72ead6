/** The turn belongs to the server: a client that leaves finds its answer later. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';

let double: ProviderDouble;
let parley: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  parley = await startParley({ OPENAI_BASE_URL: double.url, OPENAI_MODEL: 'm-1' });
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

beforeEach(() => double.reset());

/** Sends a message that can be broken off. */
function begin(sessionId: string, stream: boolean) {
  const leave = new AbortController();
  const response = fetch(`${parley.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Hello', stream }),
    signal: leave.signal,
  });
  response.catch(() => undefined);
  return { response, leave: () => leave.abort() };
}

/** The turn of a session with one turn, as soon as the log says that it is over. */
async function endedTurn(sessionId: string) {
  const { body } = await call(parley.url, 'GET', `/sessions/${sessionId}/turns`);
  const [{ id }] = body.data;
  await outputWith(parley, (output) => output.includes(`"turn_id":"${id}"`));
  return (await call(parley.url, 'GET', `/sessions/${sessionId}/turns/${id}`)).body;
}

/** Waits until the server has noticed that the client is gone: it logs the request. */
function noticed(sessionId: string): Promise<void> {
  return outputWith(parley, (output) => output.includes(`"path":"/sessions/${sessionId}/messages"`));
}

for (const stream of [true, false]) {
  test(`a client that leaves before the first token, ${stream ? 'streaming' : 'not streaming'}`, async () => {
    const held = Promise.withResolvers<void>();
    double.respond({ text: ['The ', 'answer'], waitBefore: held.promise });
    const sessionId = await newSession(parley.url);
    const client = begin(sessionId, stream);
    const upstream = await double.arrived(1);
    client.leave();
    await noticed(sessionId);
    const running = await call(parley.url, 'GET', `/sessions/${sessionId}/turns`);
    assert.equal(running.body.data[0].status, 'in_progress');
    assert.equal(running.body.data[0].input[0].content[0].text, 'Hello');

    held.resolve();
    const turn = await endedTurn(sessionId);
    assert.equal(upstream.aborted, false);
    assert.equal(turn.status, 'completed');
    assert.equal(turn.output[0].content[0].text, 'The answer');
    const { body } = await call(parley.url, 'GET', `/sessions/${sessionId}/messages`);
    assert.deepEqual(
      body.data.map(({ content }: { content: string }) => content),
      ['Hello', 'The answer'],
    );
  });
}

test('a client that leaves in the middle of the stream', async () => {
  const held = Promise.withResolvers<void>();
  double.respond({ text: ['The ', 'answer'], waitAt: { piece: 2, wait: held.promise } });
  const sessionId = await newSession(parley.url);
  const client = begin(sessionId, true);
  const reader = (await client.response).body!.getReader();
  await reader.read();
  client.leave();
  await noticed(sessionId);
  held.resolve();
  const turn = await endedTurn(sessionId);
  assert.equal(turn.status, 'completed');
  assert.equal(turn.output[0].content[0].text, 'The answer');
});

test('what a client sent before it left goes into the next turn', async () => {
  const held = Promise.withResolvers<void>();
  double.respondOnce({ text: 'First answer', waitBefore: held.promise });
  const sessionId = await newSession(parley.url);
  const client = begin(sessionId, false);
  await double.arrived(1);
  client.leave();
  const next = send(parley.url, sessionId, 'And then?');
  held.resolve();
  assert.equal((await next).body.history.length, 4);
  assert.deepEqual(
    double.last.body.messages.map(({ content }) => content),
    ['Hello', 'First answer', 'And then?'],
  );
});

test('a client that leaves while its message waits: it runs all the same', async () => {
  const held = Promise.withResolvers<void>();
  double.respondOnce({ text: 'First answer', waitBefore: held.promise });
  const sessionId = await newSession(parley.url);
  const first = send(parley.url, sessionId, 'One');
  await double.arrived(1);
  const waiting = request(`${parley.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  waiting.on('error', () => undefined).end(JSON.stringify({ content: 'Two' }));
  await once(waiting, 'finish');
  // The bytes are with the system; a connection made later is read later.
  await once(request(`${parley.url}/health`, { agent: false }).end(), 'response');
  waiting.destroy();
  held.resolve();
  await first;
  await double.arrived(2);
  const third = await send(parley.url, sessionId, 'Three');
  assert.equal(third.body.history.length, 6);
});
