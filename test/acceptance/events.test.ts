/** A turn's events: from any number on, the same while it runs, after it ended, and after the server started anew. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, type StreamEvent, send, stream } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { createGate } from './parley-with-double.ts';

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

const eventsPath = (sessionId: string, turnId: string) => `/sessions/${sessionId}/turns/${turnId}/events`;

async function follow(
  sessionId: string,
  turnId: string,
  query = '',
  headers: Record<string, string> = {},
): Promise<{ status: number; events: StreamEvent[] }> {
  const response = await fetch(parley.url + eventsPath(sessionId, turnId) + query, { headers });
  return { status: response.status, events: readEvents(await response.text()) };
}

/** Without what differs from answer to answer. */
const plain = (events: readonly StreamEvent[]) =>
  events.map((one) => {
    if (one.event !== 'turn.failed') return one;
    const { request_id: _, ...data } = one.data;
    return { ...one, data };
  });

async function onlyTurn(sessionId: string): Promise<string> {
  const { body } = await call(parley.url, 'GET', `/sessions/${sessionId}/turns`);
  return body.data[0].id;
}

test('after its end a turn has the events it was streamed with, from every number on', async () => {
  const sessionId = await newSession(parley.url);
  await send(parley.url, sessionId, 'What was before');
  double.respond({ reasoning: ['Hm', '. '], text: ['One', ' two', ' 🙂', ' three'] });
  const { events: sent } = await stream(parley.url, sessionId, 'Count');
  const turnId = sent[0]?.data.turn_id;
  const last = sent.length - 1;
  assert.ok(last >= 7);
  for (let number = -1; number < last; number += 1) {
    const tail = sent.slice(number + 1);
    assert.deepEqual((await follow(sessionId, turnId, `?after=${number}`)).events, tail);
    const byHeader = await follow(sessionId, turnId, '', { 'last-event-id': String(number) });
    assert.deepEqual(byHeader.events, tail);
  }
  assert.deepEqual((await follow(sessionId, turnId)).events, sent);
  for (const beyond of [last, last + 1, 1e15]) {
    assert.deepEqual(await follow(sessionId, turnId, `?after=${beyond}`), { status: 204, events: [] });
  }
});

test('the events of turns that ended otherwise: failed at once, in the middle, with calls', async () => {
  for (const script of [
    { text: ['Half', ' an'], error: { message: 'no more', code: 400 } },
    { toolCalls: [{ id: 'c', name: 'f', arguments: ['{"a"', ':1}'] }] },
    { text: ['Too ', 'long'], finishReason: 'length' },
  ]) {
    double.respond(script);
    const sessionId = await newSession(parley.url);
    const { events: sent } = await stream(parley.url, sessionId, 'Hello');
    const { events } = await follow(sessionId, sent[0]?.data.turn_id);
    assert.deepEqual(plain(events), plain(sent));
  }
  double.respond({ status: 400 });
  const sessionId = await newSession(parley.url);
  assert.equal((await stream(parley.url, sessionId, 'Hello')).status, 400);
  const { events } = await follow(sessionId, await onlyTurn(sessionId));
  assert.deepEqual(
    events.map(({ id, event }) => [id, event]),
    [
      [0, 'turn.started'],
      [1, 'turn.failed'],
    ],
  );
  assert.equal(events[1]?.data.error.code, 'provider_rejected_request');
});

test('a running turn is followed at once, by many, from where each likes', async () => {
  const sessionId = await newSession(parley.url);
  const [first, second] = [createGate(), createGate()];
  double.respond({
    text: ['One', ' two'],
    waitBefore: first.opened,
    waitAt: { piece: 2, wait: second.opened },
  });
  const answered = stream(parley.url, sessionId, 'Count');
  await double.arrived(1);
  const turnId = await onlyTurn(sessionId);
  const path = parley.url + eventsPath(sessionId, turnId);
  // The headers come while there is no token yet.
  const early = await fetch(path);
  assert.equal(early.status, 200);
  assert.equal(early.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  assert.ok(early.headers.get('x-request-id'));
  first.open();
  const late = await fetch(`${path}?after=0`);
  const waiting = await fetch(`${path}?after=1`);
  const beyond = await fetch(`${path}?after=1000`);
  second.open();
  const { events: sent } = await answered;
  assert.deepEqual(readEvents(await early.text()), sent);
  assert.deepEqual(readEvents(await late.text()), sent.slice(1));
  assert.deepEqual(readEvents(await waiting.text()), sent.slice(2));
  assert.deepEqual(readEvents(await beyond.text()), [], 'it ended before the number that was waited for');
});

test('a client that lost its connection goes on where it was', async () => {
  const sessionId = await newSession(parley.url);
  const gate = createGate();
  double.respond({ text: ['One', ' two', ' three'], waitAt: { piece: 3, wait: gate.opened } });
  const leave = new AbortController();
  const response = await fetch(`${parley.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Count', stream: true }),
    signal: leave.signal,
  });
  let text = '';
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes(' two')) break;
  }
  leave.abort();
  const read = readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2));
  gate.open();
  const rest = await follow(sessionId, read[0]?.data.turn_id, '', {
    'last-event-id': String(read.at(-1)?.id),
  });
  const texts = [...read, ...rest.events].filter(({ event }) => event === 'message.delta');
  assert.equal(texts.map(({ data }) => data.text).join(''), 'One two three');
  assert.equal(rest.events.at(-1)?.data.message.content, 'One two three');
});

test('the events are there after the server has started anew', async () => {
  const sessionId = await newSession(parley.url);
  double.respond({ text: ['One', ' two', ' three'] });
  const { events: sent } = await stream(parley.url, sessionId, 'Count');
  await parley.stop('SIGKILL');
  parley = await parley.restart();
  const { events } = await follow(sessionId, sent[0]?.data.turn_id, '?after=1');
  assert.deepEqual(events, sent.slice(2));
});

test('what is not there is 404, and what is no number 400', async () => {
  const sessionId = await newSession(parley.url);
  const { body } = await send(parley.url, sessionId, 'Hello');
  const other = await newSession(parley.url);
  for (const [path, code] of [
    [eventsPath(other, body.turn_id), 'turn_not_found'],
    [eventsPath(sessionId, other), 'turn_not_found'],
    [eventsPath(sessionId, 'x'), 'turn_not_found'],
    [eventsPath(body.turn_id, body.turn_id), 'session_not_found'],
  ] as const) {
    const answer = await call(parley.url, 'GET', path);
    assert.deepEqual([answer.status, answer.body.error.code], [404, code], path);
  }
  const path = eventsPath(sessionId, body.turn_id);
  for (const wrong of ['-2', '1.5', 'x', '', '1%20']) {
    assert.equal((await call(parley.url, 'GET', `${path}?after=${wrong}`)).status, 400, wrong);
  }
  const header = { 'last-event-id': 'x' };
  assert.equal((await call(parley.url, 'GET', path, undefined, header)).status, 400);
  assert.equal((await call(parley.url, 'GET', `${path}?since=1`)).status, 400);
});
