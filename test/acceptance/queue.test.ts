/** Messages to one session at once: they wait for one another, boundedly, and never interleave. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const QUEUE_MAX = 20;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ SESSION_QUEUE_MAX: String(QUEUE_MAX) });
});
beforeEach(() => server.double.reset());
after(() => server.close());

const userTexts = (request: { body: { messages: readonly { role: string; content: unknown }[] } }) =>
  request.body.messages.filter(({ role }) => role === 'user').map(({ content }) => content);

test('a second message waits until the first is answered, and sees that answer', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ text: 'the first answer', waitBefore: gate.opened });
  const first = server.send(id, 'one');
  await server.double.arrived(1);
  const second = server.send(id, 'two');

  // Other sessions go on, and prove that the server has had the time to ask for the second message as well.
  const other = await server.newSession();
  await server.converse(other, 'elsewhere 1', 'elsewhere 2', 'elsewhere 3');
  assert.ok(!server.double.requests.some((request) => userTexts(request).includes('two')));

  gate.open();
  const answers = await Promise.all([first, second]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  );
  assert.deepEqual(server.double.last.body.messages, [
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'the first answer' },
    { role: 'user', content: 'two' },
  ]);
});

test('many messages at once are stored strictly as question and answer', async () => {
  const id = await server.newSession({ memory_limit: 100 });
  const texts = Array.from({ length: QUEUE_MAX }, (_, index) => `message ${index}`);
  const answers = await Promise.all(texts.map((text) => server.send(id, text)));
  assert.ok(answers.every(({ status }) => status === 200));

  const { body } = await server.call('GET', `/sessions/${id}/messages?limit=100`);
  assert.equal(body.data.length, 2 * QUEUE_MAX);
  const asked = new Set<string>();
  for (let index = 0; index < body.data.length; index += 2) {
    const [question, answer] = body.data.slice(index, index + 2);
    assert.deepEqual([question.role, answer.role], ['user', 'assistant']);
    assert.equal(answer.content, `You said: ${question.content}`);
    assert.equal(answer.turn_id, question.turn_id);
    asked.add(question.content);
  }
  assert.equal(asked.size, QUEUE_MAX);
  // Each turn saw all turns before it, whole.
  const prompts = server.double.requests.map(({ body }) => body.messages.length);
  assert.deepEqual(
    prompts,
    texts.map((_, index) => 2 * index + 1),
  );
  const { body: turns } = await server.call('GET', `/sessions/${id}/turns?limit=100`);
  assert.deepEqual(
    turns.data.map((turn: any) => turn.parent_turn_id),
    [null, ...turns.data.slice(0, -1).map((turn: any) => turn.id)],
  );
});

test('a failed turn lets the next one in', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ status: 404, waitBefore: gate.opened });
  const first = server.send(id, 'one');
  await server.double.arrived(1);
  const second = server.send(id, 'two');
  gate.open();
  assert.equal((await first).status, 502);
  assert.equal((await second).status, 200);
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content: 'two' }]);
});

test('SESSION_QUEUE_MAX messages wait; more are refused at once with 429', { timeout: 30_000 }, async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respond({ waitBefore: gate.opened });
  const surplus = 4;
  const refused: any[] = [];
  const { promise: allRefused, resolve } = Promise.withResolvers<void>();
  const sent = Array.from({ length: 1 + QUEUE_MAX + surplus }, async (_, index) => {
    const answer = await server.send(id, `message ${index}`);
    if (answer.status !== 200 && refused.push(answer) === surplus) resolve();
    return answer.status;
  });
  // While the first is held at the provider nobody else can be answered but by a refusal.
  await allRefused;
  for (const { status, headers, body } of refused) {
    assert.equal(status, 429);
    assert.equal(body.error.code, 'session_queue_full');
    assert.ok(Number(headers.get('retry-after')) >= 1, 'Retry-After, as on every 429');
    assert.equal(body.error.details.retry_after, Number(headers.get('retry-after')));
  }
  assert.equal((await server.send(id, 'one more')).status, 429);
  const elsewhere = server.newSession();
  assert.equal((await server.call('GET', `/sessions/${await elsewhere}`)).status, 200);
  gate.open();
  const statuses = await Promise.all(sent);
  assert.equal(statuses.filter((status) => status === 200).length, 1 + QUEUE_MAX);
  // The refused left no trace, and the queue is free again.
  const { body } = await server.call('GET', `/sessions/${id}/turns?limit=100`);
  assert.equal(body.data.length, 1 + QUEUE_MAX);
  assert.equal((await server.send(id, 'after all')).status, 200);
});

test('a session deleted under its messages answers all of them as missing', async () => {
  const id = await server.newSession();
  const gate = createGate();
  server.double.respondOnce({ waitBefore: gate.opened });
  const running = server.send(id, 'one');
  await server.double.arrived(1);
  const waiting = server.send(id, 'two');
  assert.equal((await server.call('DELETE', `/sessions/${id}`)).status, 204);
  gate.open();
  for (const { status, body } of await Promise.all([running, waiting])) {
    assert.deepEqual([status, body.error.code], [404, 'session_not_found']);
  }
});
