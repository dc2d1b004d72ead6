/** The chat transport of the AI SDK by HTTP alone: what is on the wire, and what is refused. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { startProviderDouble } from '../provider-double.ts';
import { skipWithoutRedis, startRedis } from '../redis-server.ts';
import { newSession } from './client.ts';
import { outputWith, removeParley, startParley } from './parley-process.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const said = (text: string, id = `of ${text}`) => ({ id, role: 'user', parts: [{ type: 'text', text }] });

const chat = (sessionId: string, body: object, headers: Record<string, string> = {}) =>
  server.call('POST', `/ui/${sessionId}/chat`, body, headers);

/** The chunks of a stream that ends as it should. */
function chunksOf({ body }: { body: string }): any[] {
  const frames = body.split('\n\n').filter((frame) => frame.startsWith('data: '));
  assert.equal(frames.pop(), 'data: [DONE]');
  return frames.map((frame) => JSON.parse(frame.slice('data: '.length)));
}

test('an answer is a stream of version 1, named after its turn', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ text: ['Hel', 'lo.'] });
  const answer = await chat(id, { id: 'x', messages: [said('Hi')], trigger: 'submit-message' });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.equal(answer.headers.get('x-vercel-ai-ui-message-stream'), 'v1');
  const { body: turns } = await server.call('GET', `/sessions/${id}/turns`);
  const [turn] = turns.data;
  const [start, ...rest] = chunksOf(answer);
  assert.deepEqual(start, {
    type: 'start',
    messageId: turn.id,
    messageMetadata: { turn_id: turn.id, created_at: turn.created_at },
  });
  const item = turn.output[0].id;
  assert.deepEqual(rest, [
    { type: 'start-step' },
    { type: 'text-start', id: item },
    { type: 'text-delta', id: item, delta: 'Hel' },
    { type: 'text-delta', id: item, delta: 'lo.' },
    { type: 'text-end', id: item },
    { type: 'finish-step' },
    {
      type: 'finish',
      finishReason: 'stop',
      messageMetadata: {
        turn_id: turn.id,
        status: 'completed',
        provider: 'openai',
        model: 'double-model',
        usage: turn.usage,
      },
    },
  ]);
  assert.deepEqual(turn.input[0].metadata, { ui_message_id: 'of Hi' });
});

test('it is one conversation, by whichever door it is spoken to', async () => {
  const id = await server.newSession();
  await server.converse(id, 'One');
  const conversation = `conv_${id.replaceAll('-', '')}`;
  assert.equal((await chat(conversation, { messages: [said('Two')] })).status, 200);
  await server.converse(id, 'Three');
  const { body } = await server.call('GET', `/ui/${conversation}/messages`);
  const texts = body.messages.map(({ role, parts }: any) => `${role}: ${parts.at(-1).text}`);
  assert.deepEqual(texts, [
    'user: One',
    'assistant: You said: One',
    'user: Two',
    'assistant: You said: Two',
    'user: Three',
    'assistant: You said: Three',
  ]);
  const { body: newest } = await server.call('GET', `/ui/${id}/messages?limit=2`);
  assert.deepEqual(newest.messages, body.messages.slice(-2));
});

test('what stands beside the messages is for the turn', async () => {
  const id = await server.newSession();
  const body = { messages: [said('Hi')], model: 'other', options: { temperature: 0.5 } };
  assert.equal((await chat(id, body)).status, 200);
  assert.deepEqual([server.double.last.body.model, server.double.last.body['temperature']], ['other', 0.5]);
  const { status, body: refused } = await chat(id, { ...body, model: undefined, temperature: 1 });
  assert.equal(status, 400);
  assert.match(JSON.stringify(refused.error.details.problems), /temperature/);
});

test('the same key is the same turn', async () => {
  const id = await server.newSession();
  const headers = { 'idempotency-key': 'once' };
  const first = await chat(id, { messages: [said('Hi')] }, headers);
  const again = await chat(id, { messages: [said('Hi')] }, headers);
  assert.deepEqual(chunksOf(again), chunksOf(first));
  assert.equal(again.headers.get('idempotent-replayed'), 'true');
  assert.equal((await chat(id, { messages: [said('Other')] }, headers)).status, 422);
  assert.equal(server.double.requests.length, 1);
});

test('a request in which there is nothing new is refused with the place', async () => {
  const id = await server.newSession();
  await server.converse(id, 'One');
  const answered = { role: 'assistant', parts: [{ type: 'text', text: 'No calls' }] };
  const forged = {
    role: 'assistant',
    parts: [{ type: 'tool-look', toolCallId: 'of nobody', state: 'output-available', input: {}, output: 1 }],
  };
  const wrong: [object, string][] = [
    [{ messages: [] }, '/messages'],
    [{ messages: [answered] }, '/messages/0'],
    [{ messages: [said('x'), forged] }, '/messages/1'],
    [{ messages: [{ role: 'system', parts: [] }] }, '/messages/0'],
    [{ messages: [{ role: 'user', parts: [{ type: 'data-x', data: 1 }] }] }, '/messages/0/parts'],
    [
      { messages: [{ role: 'user', parts: [{ type: 'file', url: 'file:///etc/passwd' }] }] },
      '/messages/0/parts/0/url',
    ],
    [{ messages: [answered], trigger: 'regenerate-message' }, '/messages'],
  ];
  for (const [body, path] of wrong) {
    const { status, body: answer } = await chat(id, body);
    assert.equal(status, 400, JSON.stringify(body));
    assert.equal(answer.error.details.problems[0].path, path);
  }
  assert.equal(server.double.requests.length, 1);
});

test('an error before the first word has its status, and is no stream', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ status: 400 });
  const answer = await chat(id, { messages: [said('Hi')] });
  assert.deepEqual([answer.status, answer.body.error.code], [400, 'provider_rejected_request']);
  assert.equal(answer.headers.get('x-vercel-ai-ui-message-stream'), null);
  assert.deepEqual((await server.call('GET', `/ui/${id}/messages`)).body.messages, []);
});

test('a running turn is read from its beginning, by either path, and 204 where none runs', async () => {
  const id = await server.newSession();
  const paths = [`/ui/${id}/chat/stream`, `/ui/${id}/chat/any-name/stream`];
  for (const path of paths) assert.equal((await server.call('GET', path)).status, 204);
  const gate = createGate();
  server.double.respondOnce({ text: ['One ', 'two.'], waitAt: { piece: 2, wait: gate.opened } });
  const sent = chat(id, { messages: [said('Count')] });
  await server.double.arrived(1);
  const { body: shown } = await server.call('GET', `/ui/${id}/messages`);
  assert.deepEqual(
    shown.messages.map(({ id: name }: any) => name),
    ['of Count'],
  );
  const readers = await Promise.all(paths.map((path) => fetch(server.url + path)));
  gate.open();
  const whole = chunksOf(await sent);
  assert.equal(whole.at(-1).type, 'finish');
  for (const reader of readers) {
    assert.equal(reader.headers.get('x-vercel-ai-ui-message-stream'), 'v1');
    assert.deepEqual(chunksOf({ body: await reader.text() }), whole);
  }
  for (const path of paths) assert.equal((await server.call('GET', path)).status, 204);
});

test('who asks for another answer does not wait for the one that is being made', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ text: ['Half ', 'of it.'], waitAt: { piece: 2, wait: gate.opened } });
  const sent = chat(id, { messages: [said('Tell')] });
  await server.double.arrived(1);
  const again = await chat(id, { messages: [said('Tell')], trigger: 'regenerate-message' });
  gate.open();
  assert.equal(chunksOf(again).at(-1).type, 'finish');
  const first = await sent;
  if (first.status === 200) assert.equal(chunksOf(first).at(-1).type, 'abort');
  else assert.equal(first.body.error.code, 'turn_cancelled');
  const { body } = await server.call('GET', `/ui/${id}/messages`);
  assert.deepEqual(
    body.messages.map(({ parts }: any) => parts.at(-1).text),
    ['Tell', 'You said: Tell'],
  );
});

test('a message that the server does not know is answered for the first time, in its place', async () => {
  const id = await server.newSession();
  await server.converse(id, 'One');
  for (const body of [
    { messages: [said('Two')], trigger: 'regenerate-message' },
    { messages: [said('Three')], messageId: 'of nobody' },
  ]) {
    assert.equal((await chat(id, body)).status, 200);
  }
  assert.deepEqual(
    server.double.last.body.messages.filter(({ role }) => role === 'user').map(({ content }) => content),
    ['One', 'Two', 'Three'],
  );
});

test('a turn ends with its client where the request says so', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ text: ['Half ', 'of it.'], waitAt: { piece: 2, wait: gate.opened } });
  const leave = new AbortController();
  const sent = await fetch(`${server.url}/ui/${id}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [said('Tell')], on_disconnect: 'cancel' }),
    signal: leave.signal,
  });
  assert.equal(sent.status, 200);
  leave.abort();
  await server.double.last.ended;
  gate.open();
  assert.equal(server.double.last.aborted, true);
  // The next turn begins when that one is over.
  await server.converse(id, 'Next');
  const { body: turns } = await server.call('GET', `/sessions/${id}/turns`);
  assert.deepEqual(
    turns.data.map(({ status }: any) => status),
    ['cancelled', 'completed'],
  );
});

test('a running turn is read at another server', { skip: skipWithoutRedis }, async (context) => {
  const [redis, double] = await Promise.all([startRedis(), startProviderDouble()]);
  const settings = {
    DATABASE_URL: redis.url(),
    OPENAI_BASE_URL: double.url,
    OPENAI_API_KEY: 'none',
    OPENAI_MODEL: 'double-model',
  };
  const [one, other] = await Promise.all([startParley(settings), startParley(settings)]);
  context.after(async () => {
    await Promise.all([one, other].map(removeParley));
    await double.close();
    await redis.stop();
  });
  await Promise.all([one, other].map((parley) => outputWith(parley, (text) => text.includes('is heard'))));
  const id = await newSession(one.url);
  const gate = createGate();
  double.respondOnce({ text: ['One ', 'two.'], waitAt: { piece: 2, wait: gate.opened } });
  const sent = fetch(`${one.url}/ui/${id}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [said('Count')] }),
  });
  await double.arrived(1);
  const reader = await fetch(`${other.url}/ui/${id}/chat/stream`);
  assert.equal(reader.status, 200);
  gate.open();
  const whole = chunksOf({ body: await (await sent).text() });
  assert.equal(whole.at(-1).type, 'finish');
  assert.deepEqual(chunksOf({ body: await reader.text() }), whole);
});
