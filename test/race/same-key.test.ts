/** Many clients with one Idempotency-Key at once: one turn, one call to the provider, one answer for all. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { type Answer, readEvents, type StreamEvent } from '../acceptance/client.ts';
import { createGate, type ParleysWithDouble } from '../acceptance/parley-with-double.ts';
import { readList } from '../crash/shown-session.ts';
import { onEveryStore } from './on-every-store.ts';

const CLIENTS = 100;

let server: ParleysWithDouble;
onEveryStore(
  { LOG_LEVEL: 'warn', SESSION_QUEUE_MAX: String(CLIENTS) },
  (started) => {
    server = started;
  },
  races,
);

interface Keyed {
  key: string;
  content?: string;
  stream?: boolean;
  on_busy?: string;
}

function sendKeyed(sessionId: string, { key, content = 'Hello', ...more }: Keyed): Promise<Answer> {
  const headers = { 'idempotency-key': key };
  return server.call('POST', `/sessions/${sessionId}/messages`, { content, ...more }, headers);
}

/** Opens a stream and resolves as soon as its head is there; `events` reads it to the end. */
async function openKeyed(sessionId: string, { key, content = 'Hello' }: Keyed) {
  const response = await fetch(`${server.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ content, stream: true }),
  });
  assert.equal(response.status, 200);
  return { headers: response.headers, events: async () => readEvents(await response.text()) };
}

function isReplayed({ headers }: { headers: Headers }): boolean {
  return headers.get('idempotent-replayed') === 'true';
}

function times<Result>(count: number, make: (index: number) => Result): Result[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** Asserts that all elements are equal, and gives the one that they are. */
function theOne<Element>(list: readonly Element[]): Element {
  const [first] = list;
  assert.ok(first !== undefined, 'there is one');
  for (const element of list) assert.deepEqual(element, first);
  return first;
}

/** The stream is numbered from 0 without a gap and adds up to the text. */
function assertWhole(events: readonly StreamEvent[], text: string): void {
  assert.deepEqual(
    events.map(({ id }) => id),
    [...events.keys()],
  );
  const deltas = events.filter(({ event }) => event === 'message.delta');
  assert.equal(deltas.map(({ data }) => data.text).join(''), text);
  assert.deepEqual([events[0]?.event, events.at(-1)?.event], ['turn.started', 'turn.completed']);
  assert.equal(events.at(-1)?.data.message.content, text);
}

function races(): void {
  beforeEach(() => server.double.reset());

  test('one key, sent by many at once, streamed and not, is one turn with one answer', async () => {
    const id = await server.newSession();
    const gate = createGate();
    server.double.respond({ text: ['The ', 'one ', 'answer'], waitAt: { piece: 2, wait: gate.opened } });
    const plain = times(CLIENTS / 2, () => sendKeyed(id, { key: 'k' }));
    const opening = times(CLIENTS / 2, () => openKeyed(id, { key: 'k' }));
    // All streams are open while the answer is held: they joined the turn that runs.
    const streams = await Promise.all(opening);
    gate.open();
    const answers = await Promise.all(plain);
    const events = await Promise.all(streams.map((stream) => stream.events()));

    assert.equal(server.double.requests.length, 1);
    assert.equal([...answers, ...streams].filter((one) => !isReplayed(one)).length, 1, 'one began the turn');
    assert.ok(answers.every(({ status }) => status === 200));
    const answer = theOne(answers.map(({ body }) => body));
    const heard = theOne(events);
    assert.deepEqual(heard.at(-1)?.data, answer);
    assertWhole(heard, 'The one answer');
    assert.equal((await readList(server.url, `/sessions/${id}/turns?order=asc`)).length, 1);

    // After the end it is the same again, from the store.
    const later = await Promise.all(times(CLIENTS / 2, () => sendKeyed(id, { key: 'k' })));
    assert.deepEqual(theOne(later.map(({ body }) => body)), answer);
    assert.ok(later.every(isReplayed));
    const reopened = await Promise.all(times(CLIENTS / 2, () => openKeyed(id, { key: 'k' })));
    assert.ok(reopened.every(isReplayed));
    assert.deepEqual(theOne(await Promise.all(reopened.map((stream) => stream.events()))), heard);
    assert.equal(server.double.requests.length, 1);
  });

  test('the same key is answered while another turn of the session runs, and waits for nobody', async () => {
    const id = await server.newSession();
    const first = await sendKeyed(id, { key: 'first' });
    const gate = createGate();
    server.double.respondOnce({ text: 'second', waitBefore: gate.opened });
    const running = sendKeyed(id, { key: 'second' });
    await server.double.arrived(2);

    const again = await Promise.all(
      ['queue', 'reject', 'interrupt'].map((on_busy) => sendKeyed(id, { key: 'first', on_busy })),
    );
    assert.deepEqual(theOne(again.map(({ body }) => body)), first.body);
    const joined = ['queue', 'reject', 'interrupt'].map((on_busy) =>
      sendKeyed(id, { key: 'second', on_busy }),
    );
    const other = await sendKeyed(id, { key: 'third', on_busy: 'reject' });
    assert.equal(other.body.error.code, 'session_busy');
    gate.open();
    const { body } = await running;
    assert.deepEqual(theOne((await Promise.all(joined)).map((answer) => answer.body)), body);
    assert.equal(body.message.content, 'second');
    // A refused message has not used its key up.
    assert.equal((await sendKeyed(id, { key: 'third' })).status, 200);
  });

  test('one key with different bodies at once: one body wins, the others are told so', async () => {
    const id = await server.newSession();
    const contents = ['a', 'b', 'c', 'd', 'e'];
    const asked = times(CLIENTS, (index) => contents[index % contents.length] ?? '');
    const answers = await Promise.all(asked.map((content) => sendKeyed(id, { key: 'k', content })));

    const won = asked.filter((_, index) => answers[index]?.status === 200);
    const content = theOne(won);
    assert.equal(won.length, CLIENTS / contents.length, 'everybody with the winning body is answered');
    const body = theOne(answers.filter(({ status }) => status === 200).map((answer) => answer.body));
    assert.equal(body.message.content, `You said: ${content}`);
    for (const { status, body } of answers.filter(({ status }) => status !== 200))
      assert.deepEqual([status, body.error.code], [422, 'idempotency_key_reused']);
    assert.equal(server.double.requests.length, 1);
    assert.equal(answers.filter((answer) => answer.status === 200 && !isReplayed(answer)).length, 1);
    const loser = contents.find((one) => one !== content) ?? '';
    assert.equal((await sendKeyed(id, { key: 'k', content: loser })).status, 422, 'after the end as well');
  });

  test('one key in many sessions at once is another key in each', async () => {
    const ids = await Promise.all(times(CLIENTS, () => server.newSession()));
    const answers = await Promise.all(ids.map((id) => sendKeyed(id, { key: 'k' })));
    assert.equal(server.double.requests.length, CLIENTS);
    assert.equal(new Set(answers.map(({ body }) => body.turn_id)).size, CLIENTS);
    assert.deepEqual(
      answers.map(({ body }) => body.session_id),
      ids,
    );
    assert.ok(!answers.some(isReplayed));
  });

  test('many keys at once in one session are as many turns', async () => {
    const id = await server.newSession();
    const keys = times(CLIENTS, (index) => `key-${Math.floor(index / 2)}`);
    const answers = await Promise.all(keys.map((key) => sendKeyed(id, { key, content: key })));
    for (const [index, { status, body }] of answers.entries()) {
      assert.equal(status, 200);
      assert.equal(body.message.content, `You said: ${keys[index]}`);
    }
    assert.equal(server.double.requests.length, CLIENTS / 2);
    assert.equal(answers.filter(isReplayed).length, CLIENTS / 2);
    assert.equal((await readList(server.url, `/sessions/${id}/messages?order=asc`)).length, CLIENTS);
  });

  test('a key whose turn failed is run again once, however many ask', async () => {
    const id = await server.newSession();
    server.double.respondOnce({ status: 400 });
    const answers = await Promise.all(times(CLIENTS, () => sendKeyed(id, { key: 'k' })));
    const last = await sendKeyed(id, { key: 'k' });
    assert.equal(last.status, 200);
    assert.equal(server.double.requests.length, 2, 'one that failed, one that did not');
    // Who came before the failure heard of it, who came after it got the new turn.
    const failed = answers.filter(({ status }) => status === 400);
    assert.ok(failed.length > 0);
    theOne(failed.map(({ body }) => body.error));
    for (const { body } of answers.filter(({ status }) => status !== 400)) assert.deepEqual(body, last.body);
    const turns = await readList(server.url, `/sessions/${id}/turns?order=asc`);
    assert.deepEqual(
      turns.map(({ id, status }) => [id, status]),
      [
        [failed[0]?.body.error.details.turn_id, 'failed'],
        [last.body.turn_id, 'completed'],
      ],
    );
  });

  test('one key for a session, sent by many at once, makes one session', async () => {
    const create = (title: string) =>
      server.call('POST', '/sessions', { title }, { 'idempotency-key': 'make-one' });
    const before = await readList(server.url, '/sessions?order=asc');
    const answers = await Promise.all(times(CLIENTS, () => create('Mine')));
    assert.ok(answers.every(({ status }) => status === 201));
    const session = theOne(answers.map(({ body }) => body));
    assert.equal(answers.filter((answer) => !isReplayed(answer)).length, 1);
    assert.equal((await readList(server.url, '/sessions?order=asc')).length, before.length + 1);
    const other = await create('Yours');
    assert.deepEqual([other.status, other.body.error.code], [422, 'idempotency_key_reused']);
    // The key of a session is no key of a message in it.
    const answer = await sendKeyed(session.id, { key: 'make-one' });
    assert.deepEqual([answer.status, isReplayed(answer)], [200, false]);
  });
}
