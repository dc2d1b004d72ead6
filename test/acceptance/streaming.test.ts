/** The stream to the client: its events and their order, its headers, and readers that do not keep up. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, send, stream } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';

let double: ProviderDouble;
let parley: ParleyProcess;
/** Keeps 64 KiB of a turn's events. */
let forgetful: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  const env = { OPENAI_BASE_URL: double.url, OPENAI_MODEL: 'm-1' };
  [parley, forgetful] = await Promise.all([
    startParley({ ...env, FALLBACK_PROVIDERS: 'demo' }),
    startParley({ ...env, TURN_LOG_MAX_BYTES: '65536' }),
  ]);
});

after(async () => {
  await Promise.all([removeParley(parley), removeParley(forgetful)]);
  await double.close();
});

beforeEach(() => double.reset());

test('events are numbered from 0, carry ids, and come in order', async () => {
  const sessionId = await newSession(parley.url);
  double.respond({ reasoning: ['Hm', '.'], text: ['One ', 'two ', 'three'] });
  const { status, headers, events } = await stream(parley.url, sessionId, 'Count');
  assert.equal(status, 200);
  assert.match(headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('x-accel-buffering'), 'no');
  assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  assert.deepEqual(
    events.map(({ id, event }) => [id, event]),
    [
      [0, 'turn.started'],
      [1, 'reasoning.delta'],
      [2, 'reasoning.delta'],
      [3, 'message.delta'],
      [4, 'message.delta'],
      [5, 'message.delta'],
      [6, 'turn.completed'],
    ],
  );
  const started = events[0]?.data;
  assert.equal(started.session_id, sessionId);
  assert.equal(started.turn_id, events[6]?.data.turn_id);
});

test('the deltas joined are the stored message, and the last event is the answer of the same turn', async () => {
  const [streamed, whole] = await Promise.all([newSession(parley.url), newSession(parley.url)]);
  const { events } = await stream(parley.url, streamed, 'Line one\nline two: "äöü"   ');
  const text = events.filter(({ event }) => event === 'message.delta').map(({ data }) => data.text);
  const completed = events.at(-1)?.data;
  const stored = await call(parley.url, 'GET', `/sessions/${streamed}/messages`);
  assert.equal(text.join(''), 'You said: Line one\nline two: "äöü"   ');
  assert.equal(stored.body.data[1].content, text.join(''));
  assert.deepEqual(completed.message, stored.body.data[1]);
  assert.deepEqual(completed.history, stored.body.data);

  const { body } = await send(parley.url, whole, 'Line one\nline two: "äöü"   ');
  assert.deepEqual(shapeOf(completed), shapeOf(body));
  const { provider, provider_source, model, usage, finish_reason, status } = completed;
  assert.deepEqual(
    { provider, provider_source, model, usage, finish_reason, status },
    {
      provider: body.provider,
      provider_source: body.provider_source,
      model: body.model,
      usage: body.usage,
      finish_reason: body.finish_reason,
      status: body.status,
    },
  );
});

/** The value with its leaves replaced by their types. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}

test('the Accept header alone asks for a stream, and the body overrules it', async () => {
  const sessionId = await newSession(parley.url);
  const accept = { accept: 'application/json;q=0.5, text/event-stream' };
  const streamed = await send(parley.url, sessionId, 'Hello', {}, accept);
  assert.match(streamed.headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.equal(readEvents(streamed.body).at(-1)?.event, 'turn.completed');
  assert.equal(double.last.body.stream, true);
  const whole = await send(parley.url, sessionId, 'Hello', { stream: false }, accept);
  assert.equal(whole.body.message.content, 'You said: Hello');
});

test('each delta reaches the client when it is made', async () => {
  const held = Promise.withResolvers<void>();
  double.respond({ text: ['first', 'second'], waitAt: { piece: 2, wait: held.promise } });
  const sessionId = await newSession(parley.url);
  const response = await fetch(`${parley.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Hello', stream: true }),
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"first"')) text += (await reader.read()).value;
  assert.doesNotMatch(text, /second/);
  held.resolve();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) text += piece.value;
  assert.equal(readEvents(text).at(-1)?.event, 'turn.completed');
});

test('what is wrong before the first token is a plain status', async () => {
  const refused = await send(parley.url, await newSession(parley.url), 'Hello', {
    stream: true,
    provider: 'x',
  });
  assert.deepEqual([refused.status, refused.body.error.code], [400, 'provider_not_found']);
  const missing = await send(parley.url, '00000000-0000-4000-8000-000000000000', 'Hello', { stream: true });
  assert.deepEqual([missing.status, missing.body.error.code], [404, 'session_not_found']);
  double.respond({ status: 400 });
  const rejected = await send(parley.url, await newSession(parley.url), 'Hello', { stream: true });
  assert.deepEqual([rejected.status, rejected.body.error.code], [400, 'provider_rejected_request']);
});

test('the demonstration streams too', async () => {
  const sessionId = await newSession(parley.url, { provider: 'demo' });
  const { events } = await stream(parley.url, sessionId, 'Hello');
  const text = events.filter(({ event }) => event === 'message.delta').map(({ data }) => data.text);
  assert.ok(text.length > 5);
  assert.equal(events.at(-1)?.data.message.content, text.join(''));
});

/** A client that reads nothing until it is told to. */
async function openUnread(url: string, sessionId: string) {
  const body = JSON.stringify({ content: 'Talk', stream: true });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = request(`${url}/sessions/${sessionId}/messages`, { method: 'POST', headers, agent: false });
  sent.end(body);
  const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  sent.once('response', (response) => resolve(response.pause()));
  sent.once('error', reject);
  return answered;
}

const MEGABYTE = 1024 * 1024;

/** The most memory that the server has had so far, in bytes. */
async function peakMemory(parley: ParleyProcess): Promise<number> {
  const text = await readFile(`/proc/${parley.process.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1]) * 1024;
}

/** Readers of one turn that do not read. If each had a copy of its text, they would stand out from the noise. */
const READERS = 8;

test('readers that stop cost no memory, and the turn completes without them', async () => {
  const unread = await memoryOfLongTurn(async (url, sessionId) => {
    await openUnread(url, sessionId);
    const { body } = await call(url, 'GET', `/sessions/${sessionId}/turns?order=desc&limit=1`);
    const events = `${url}/sessions/${sessionId}/turns/${body.data[0].id}/events`;
    for (let readers = 1; readers < READERS; readers += 1) await openUnreadEvents(events);
  });
  const left = await memoryOfLongTurn(async (url, sessionId) => {
    (await openUnread(url, sessionId)).destroy();
  });
  assert.ok(unread - left < (READERS / 2) * 30 * MEGABYTE, `${unread} bytes with readers, ${left} without`);
});

function openUnreadEvents(url: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(url, { agent: false });
  sent.once('response', (response) => resolve(response.pause()));
  sent.once('error', reject);
  sent.end();
  return promise;
}

/** By how much a server's memory grows while a turn of 30 MB runs for such a client. */
async function memoryOfLongTurn(ask: (url: string, sessionId: string) => Promise<void>): Promise<number> {
  const server = await startParley({ OPENAI_BASE_URL: double.url, DATABASE_URL: 'memory:' });
  try {
    const piece = 'x'.repeat(32 * 1024);
    const pieces = 30 * (MEGABYTE / piece.length);
    const sent = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const wait = () => {
      sent.resolve();
      return end.promise;
    };
    // A first turn, so that what every turn needs is there.
    const sessionId = await newSession(server.url);
    await stream(server.url, sessionId, 'Hello');
    double.respondOnce({ text: Array<string>(pieces).fill(piece), waitAt: { piece: pieces + 1, wait } });
    const before = await peakMemory(server);
    await ask(server.url, sessionId);
    await sent.promise;
    const growth = (await peakMemory(server)) - before;
    end.resolve();
    await turnsEnded(server, 2);
    const last = server.logLines().findLast(({ msg }) => msg === 'turn');
    assert.equal(last?.['status'], 'completed');
    return growth;
  } finally {
    await removeParley(server);
  }
}

/** Waits until the server has logged so many turns. */
function turnsEnded(server: ParleyProcess, count: number): Promise<void> {
  return outputWith(server, (output) => output.split('"msg":"turn"').length > count);
}

test('a reader that fell behind what is kept is told so, and gets the end', async () => {
  const piece = 'x'.repeat(8 * 1024);
  const pieces = 2048;
  double.respond({ text: Array<string>(pieces).fill(piece) });
  const sessionId = await newSession(forgetful.url);
  const response = await openUnread(forgetful.url, sessionId);
  await turnsEnded(forgetful, 1);
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  const events = readEvents(text);
  assert.deepEqual([events[0]?.event, events[0]?.id], ['turn.started', 0]);
  const expired = events.filter(({ event }) => event === 'error');
  assert.equal(expired.length, 1);
  assert.equal(expired[0]?.id, null);
  assert.equal(expired[0]?.data.error.code, 'events_expired');
  assert.equal(events.at(-1)?.event, 'turn.completed');
  assert.equal(events.at(-1)?.id, pieces + 1);
  assert.ok(events.length < pieces);
});
