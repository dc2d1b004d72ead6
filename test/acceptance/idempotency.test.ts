/** Requests under a key: however often one is sent, it is done once. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, send } from './client.ts';
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

const keyed = (key: string) => ({ 'idempotency-key': key });
const isReplayed = (answer: { headers: Headers }) => answer.headers.get('idempotent-replayed') === 'true';

const sendKeyed = (sessionId: string, key: string, content = 'Hello', more: object = {}) =>
  send(parley.url, sessionId, content, more, keyed(key));

const createKeyed = (key: string, settings: object = {}) =>
  call(parley.url, 'POST', '/sessions', settings, keyed(key));

async function turnsOf(sessionId: string): Promise<any[]> {
  return (await call(parley.url, 'GET', `/sessions/${sessionId}/turns`)).body.data;
}

test('a message that is sent again is answered as it was, and asked once', async () => {
  const sessionId = await newSession(parley.url);
  const first = await sendKeyed(sessionId, 'k');
  assert.deepEqual([first.status, isReplayed(first)], [200, false]);
  const again = await sendKeyed(sessionId, 'k');
  assert.deepEqual([again.status, isReplayed(again)], [200, true]);
  assert.deepEqual(again.body, first.body);
  const later = await sendKeyed(sessionId, 'k2');
  assert.notEqual(later.body.turn_id, first.body.turn_id);
  assert.deepEqual(
    (await sendKeyed(sessionId, 'k')).body,
    first.body,
    'also when the conversation has gone on',
  );
  assert.equal(double.requests.length, 2);
  assert.equal((await turnsOf(sessionId)).length, 2);
});

test('the order of keys and the way of delivery are no part of what is asked', async () => {
  const sessionId = await newSession(parley.url);
  const first = await sendKeyed(sessionId, 'k', 'Hello', {
    options: { temperature: 0, seed: 1 },
    metadata: {},
  });
  const body = {
    on_busy: 'reject',
    metadata: {},
    options: { seed: 1, temperature: 0 },
    on_disconnect: 'cancel',
  };
  const again = await sendKeyed(sessionId, 'k', 'Hello', body);
  assert.deepEqual(again.body, first.body);
  const streamed = await sendKeyed(sessionId, 'k', 'Hello', { ...body, stream: true });
  assert.ok(isReplayed(streamed));
  const events = readEvents(streamed.body);
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, index) => index),
  );
  assert.deepEqual(events.at(-1)?.data, first.body);
  assert.equal(double.requests.length, 1);
});

test('under the same key another request is refused, and nothing is done', async () => {
  const sessionId = await newSession(parley.url);
  await sendKeyed(sessionId, 'k', 'Hello', { model: 'm-2' });
  for (const [content, more, headers] of [
    ['Hello!', { model: 'm-2' }, {}],
    ['Hello', {}, {}],
    ['Hello', { model: 'm-2', parent_turn_id: null }, {}],
    ['Hello', { model: 'm-2' }, { 'x-provider': 'openai' }],
  ] as const) {
    const { status, body } = await send(parley.url, sessionId, content, more, { ...keyed('k'), ...headers });
    assert.deepEqual([status, body.error.code], [422, 'idempotency_key_reused']);
  }
  assert.equal((await turnsOf(sessionId)).length, 1);
});

test('a message that is sent again while its turn runs joins it', async () => {
  const sessionId = await newSession(parley.url);
  const gate = createGate();
  double.respond({ text: ['One', ' two'], waitAt: { piece: 2, wait: gate.opened } });
  const first = sendKeyed(sessionId, 'k', 'Hello', { stream: true });
  await double.arrived(1);
  // The streams are answered with the first token, so both have joined before the last one.
  const streams = await Promise.all(
    [1, 2].map(() =>
      fetch(`${parley.url}/sessions/${sessionId}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...keyed('k') },
        body: JSON.stringify({ content: 'Hello', stream: true }),
      }),
    ),
  );
  // Neither does it count as a second message of a busy session.
  const reused = await sendKeyed(sessionId, 'k', 'Other', { on_busy: 'reject' });
  assert.equal(reused.body.error.code, 'idempotency_key_reused');
  gate.open();
  const { headers, body } = await first;
  assert.equal(isReplayed({ headers }), false);
  for (const response of streams) {
    assert.ok(isReplayed(response));
    assert.deepEqual(readEvents(await response.text()), readEvents(body));
  }
  assert.equal(double.requests.length, 1);
});

test('sent many times at once it is one turn', async () => {
  const sessionId = await newSession(parley.url);
  const answers = await Promise.all(Array.from({ length: 20 }, () => sendKeyed(sessionId, 'k')));
  assert.equal(new Set(answers.map(({ body }) => body.turn_id)).size, 1);
  assert.equal(answers.filter((answer) => !isReplayed(answer)).length, 1);
  assert.equal(double.requests.length, 1);
});

test('a turn that failed is tried again under its key', async () => {
  const sessionId = await newSession(parley.url);
  double.respondOnce({ status: 400 });
  const failed = await sendKeyed(sessionId, 'k');
  assert.equal(failed.status, 400);
  const again = await sendKeyed(sessionId, 'k');
  assert.deepEqual([again.status, isReplayed(again)], [200, false]);
  assert.notEqual(again.body.turn_id, failed.body.error.details.turn_id);
  const replayed = await sendKeyed(sessionId, 'k');
  assert.deepEqual([isReplayed(replayed), replayed.body.turn_id], [true, again.body.turn_id]);
  assert.deepEqual(
    (await turnsOf(sessionId)).map(({ status }) => status),
    ['failed', 'completed'],
  );
});

test('a turn that was cancelled is answered with its error again', async () => {
  const sessionId = await newSession(parley.url);
  double.respond({ hang: true, text: ['One'] });
  const first = sendKeyed(sessionId, 'k');
  await double.arrived(1);
  const [{ id }] = await turnsOf(sessionId);
  await call(parley.url, 'POST', `/sessions/${sessionId}/turns/${id}/cancel`);
  const again = await sendKeyed(sessionId, 'k');
  for (const { status, headers, body } of [await first, again]) {
    assert.deepEqual([status, body.error.code, body.error.details.turn_id], [409, 'turn_cancelled', id]);
    assert.equal(headers.get('x-should-retry'), 'false');
  }
  assert.ok(isReplayed(again));
  assert.equal(double.requests.length, 1);
});

test('a key belongs to its session', async () => {
  const [one, other] = [await newSession(parley.url), await newSession(parley.url)];
  const answers = [await sendKeyed(one, 'k', 'One'), await sendKeyed(other, 'k', 'Two')];
  for (const answer of answers) assert.deepEqual([answer.status, isReplayed(answer)], [200, false]);
});

test('what a key is: 1 to 255 visible ASCII characters', async () => {
  const sessionId = await newSession(parley.url);
  for (const wrong of ['', 'a b', 'ü', '\t', 'k'.repeat(256)]) {
    for (const answer of [await sendKeyed(sessionId, wrong), await createKeyed(wrong)]) {
      assert.deepEqual(
        [answer.status, answer.body.error.code],
        [400, 'invalid_request'],
        JSON.stringify(wrong),
      );
    }
  }
  for (const right of ['~', '"quoted"', '!'.repeat(255)]) {
    assert.equal((await sendKeyed(sessionId, right)).status, 200, right);
  }
});

test('a session that is asked for again is the same, as it is now', async () => {
  const first = await createKeyed('s-1', { title: 'a', metadata: { x: '1', y: '2' } });
  assert.deepEqual([first.status, isReplayed(first)], [201, false]);
  const path = `/sessions/${first.body.id}`;
  const changed = await call(parley.url, 'PATCH', path, { title: 'b' });
  const again = await createKeyed('s-1', { metadata: { y: '2', x: '1' }, title: 'a' });
  assert.deepEqual([again.status, isReplayed(again)], [201, true]);
  assert.equal(again.headers.get('location'), path);
  assert.deepEqual(again.body, changed.body);
  const other = await createKeyed('s-1', { title: 'b' });
  assert.deepEqual([other.status, other.body.error.code], [422, 'idempotency_key_reused']);
  await call(parley.url, 'DELETE', path);
  const anew = await createKeyed('s-1', { title: 'a' });
  assert.deepEqual([anew.status, isReplayed(anew)], [201, false], 'the key went with its session');
});

test('asked for many times at once it is one session', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => createKeyed('s-2')));
  assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
  assert.equal(answers.filter((answer) => !isReplayed(answer)).length, 1);
});

test('keys are remembered over a restart', async () => {
  const session = await createKeyed('s-3');
  const first = await sendKeyed(session.body.id, 'k');
  await parley.stop('SIGKILL');
  parley = await parley.restart();
  const again = await sendKeyed(session.body.id, 'k');
  assert.deepEqual([isReplayed(again), again.body], [true, first.body]);
  assert.equal((await createKeyed('s-3')).body.id, session.body.id);
  assert.equal(double.requests.length, 1);
});
