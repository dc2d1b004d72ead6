/** `kill -9`: what was acknowledged is there, what was not is failed, and no session is stuck. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, runParley, startParley } from './parley-process.ts';

/** A server that comes back after each kill, and is removed after the test. */
async function startMortal(context: TestContext, env: Record<string, string> = {}) {
  let parley = await startParley(env);
  context.after(() => removeParley(parley));
  return {
    get parley(): ParleyProcess {
      return parley;
    },
    async killAndRestart(): Promise<void> {
      parley.process.kill('SIGKILL');
      parley = await parley.restart();
    },
  };
}

async function startDouble(context: TestContext): Promise<ProviderDouble> {
  const double = await startProviderDouble();
  context.after(() => double.close());
  return double;
}

async function contents(url: string, sessionId: string): Promise<string[]> {
  const all: string[] = [];
  let after = '';
  for (;;) {
    const { body } = await call(url, 'GET', `/sessions/${sessionId}/messages?limit=100${after}`);
    all.push(...body.data.map(({ content }: { content: string }) => content));
    if (!body.has_more) return all;
    after = `&after=${body.last_id}`;
  }
}

async function turns(url: string, sessionId: string): Promise<any[]> {
  return (await call(url, 'GET', `/sessions/${sessionId}/turns?limit=100`)).body.data;
}

test('a turn that was running is failed after the restart, with its input, and the session goes on', async (context) => {
  const double = await startDouble(context);
  const mortal = await startMortal(context, { OPENAI_BASE_URL: double.url });
  const sessionId = await newSession(mortal.parley.url);
  await send(mortal.parley.url, sessionId, 'Before');

  double.respondOnce({ waitBefore: new Promise(() => undefined) });
  const lost = assert.rejects(send(mortal.parley.url, sessionId, 'During', { metadata: { a: 'b' } }));
  await double.arrived(2);
  const waiting = assert.rejects(send(mortal.parley.url, sessionId, 'Waiting'));
  const [, running] = await turns(mortal.parley.url, sessionId);
  assert.equal(running.status, 'in_progress');
  await mortal.killAndRestart();
  await Promise.all([lost, waiting]);

  const { url } = mortal.parley;
  await outputWith(mortal.parley, (output) =>
    /"turns":1,"msg":"a crash had left turns unfinished"/.test(output),
  );
  const { body: failed } = await call(url, 'GET', `/sessions/${sessionId}/turns/${running.id}`);
  assert.equal(failed.status, 'failed');
  assert.equal(failed.error.code, 'server_restarted');
  assert.equal(failed.input[0].content[0].text, 'During');
  assert.deepEqual(failed.input[0].metadata, { a: 'b' });
  assert.notEqual(failed.completed_at, null);
  assert.deepEqual(await contents(url, sessionId), ['Before', 'You said: Before']);

  const { status, body } = await send(url, sessionId, 'After');
  assert.equal(status, 200);
  assert.equal(body.history.length, 4);
  assert.deepEqual(
    double.last.body.messages.map(({ content }) => content),
    ['Before', 'You said: Before', 'After'],
  );
});

for (const who of ['demo', 'openai'] as const) {
  test(`an answer that has arrived is there after kill -9 (${who})`, async (context) => {
    const double = await startDouble(context);
    const mortal = await startMortal(context, who === 'demo' ? {} : { OPENAI_BASE_URL: double.url });
    const sessionId = await newSession(mortal.parley.url, { title: 'Kept', metadata: { k: 'v' } });
    const { body: answer } = await send(mortal.parley.url, sessionId, 'Keep this');
    await mortal.killAndRestart();

    const { url } = mortal.parley;
    const { body: session } = await call(url, 'GET', `/sessions/${sessionId}`);
    assert.deepEqual(
      [session.title, session.metadata, session.head_turn_id],
      ['Kept', { k: 'v' }, answer.turn_id],
    );
    const { body: messages } = await call(url, 'GET', `/sessions/${sessionId}/messages`);
    assert.deepEqual(messages.data, answer.history);
    const { body: turn } = await call(url, 'GET', `/sessions/${sessionId}/turns/${answer.turn_id}`);
    assert.equal(turn.status, 'completed');
    assert.deepEqual(turn.attempts, answer.attempts);
    assert.deepEqual(turn.usage, answer.usage);
    const next = await send(url, sessionId, 'Go on');
    assert.equal(next.body.history.length, 4);
  });
}

/** Those of test/crash are many more; here nobody sends again, so that what was not acknowledged is looked at as well. */
const ROUNDS = 8;

test(`whatever was acknowledged is there once and in order after each of ${ROUNDS} kills`, async (context) => {
  const double = await startDouble(context);
  double.respond(({ body }) => ({
    text: `re ${String(body.messages.at(-1)?.content)}`,
    waitBefore: Math.random() * 4,
  }));
  const mortal = await startMortal(context, { OPENAI_BASE_URL: double.url, LOG_LEVEL: 'warn' });
  const { url } = mortal.parley;
  const sessions = await Promise.all([newSession(url), newSession(url), newSession(url)]);
  const acknowledged = new Map<string, string[]>(sessions.map((id) => [id, []]));
  let number = 0;

  for (let round = 0; round < ROUNDS; round += 1) {
    const { url } = mortal.parley;
    const clients = sessions.map((id) => keepSending(url, id));
    // A random number of answers into the round, and a random moment into the turns that then run.
    const target = answered() + 1 + Math.floor(Math.random() * 20);
    while (answered() < target) await double.arrived(double.requests.length + 1);
    for (let wait = Math.random() * 8; wait >= 1; wait -= 1) await new Promise(setImmediate);
    await mortal.killAndRestart();
    await Promise.all(clients);
    await check();
  }
  assert.ok(answered() >= ROUNDS);

  function answered(): number {
    return [...acknowledged.values()].reduce((sum, list) => sum + list.length, 0);
  }

  /** Sends until the server is gone. */
  async function keepSending(url: string, sessionId: string): Promise<void> {
    for (;;) {
      number += 1;
      const text = `message ${number}`;
      const answer = await send(url, sessionId, text).catch(() => null);
      if (answer === null) return;
      assert.equal(answer.status, 200);
      assert.equal(answer.body.message.content, `re ${text}`);
      acknowledged.get(sessionId)?.push(text, `re ${text}`);
    }
  }

  async function check(): Promise<void> {
    const { url } = mortal.parley;
    for (const [sessionId, expected] of acknowledged) {
      const stored = await contents(url, sessionId);
      assert.equal(new Set(stored).size, stored.length, 'nothing is there twice');
      assert.deepEqual(
        stored.filter((text) => expected.includes(text)),
        expected,
      );
      for (const [index, text] of stored.entries()) {
        if (index % 2 === 1)
          assert.equal(text, `re ${stored[index - 1]}`, 'each answer follows its question');
      }
      assert.equal(stored.length % 2, 0);
      const text = `check ${(number += 1)}`;
      const { status } = await send(url, sessionId, text);
      assert.equal(status, 200, 'no session is stuck');
      expected.push(text, `re ${text}`);
    }
  }
});

test('a second server on the same file does not start, and leaves the first alone', async (context) => {
  const { parley } = await startMortal(context);
  const sessionId = await newSession(parley.url);
  const second = await runParley(parley.directory, { PORT: '0' });
  assert.equal(second.code, 1);
  assert.match(
    second.output,
    /Another server is using \S+parley\.db\. One database file serves one server\./,
  );
  assert.doesNotMatch(second.output, /\n\s+at /);
  assert.equal((await send(parley.url, sessionId, 'Hello')).status, 200);
});

test('a database of a newer version stops the start, and is left as it was', async (context) => {
  const { parley } = await startMortal(context);
  await parley.stop();
  const path = join(parley.directory, 'data', 'parley.db');
  const version = (value?: number) => {
    const database = new DatabaseSync(path);
    if (value !== undefined) database.exec(`PRAGMA user_version = ${value}`);
    const row = database.prepare('PRAGMA user_version').get();
    database.close();
    return row?.['user_version'];
  };
  const known = Number(version());
  version(known + 1000);
  const { code, output } = await runParley(parley.directory, { PORT: '0' });
  assert.equal(code, 1);
  assert.match(output, new RegExp(`newer`));
  assert.match(output, new RegExp(String(known + 1000)));
  assert.doesNotMatch(output, /\n\s+at /);
  assert.equal(version(), known + 1000);
});

test('who follows a turn in which the server died is told that, and how the turn ended', async (context) => {
  const double = await startDouble(context);
  const mortal = await startMortal(context, { OPENAI_BASE_URL: double.url });
  const sessionId = await newSession(mortal.parley.url);
  const never = new Promise(() => undefined);
  double.respondOnce({ text: ['Once ', 'upon ', 'a time'], waitAt: { piece: 3, wait: never } });
  const body = JSON.stringify({ content: 'Tell me.', stream: true });
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'tale' };
  const path = `/sessions/${sessionId}/messages`;
  const cut = await fetch(mortal.parley.url + path, { method: 'POST', headers, body });
  const reader = cut.body?.pipeThrough(new TextDecoderStream()).getReader();
  let read = '';
  while (!read.includes('upon ')) read += (await reader?.read())?.value ?? '';
  await mortal.killAndRestart();
  await assert.rejects(async () => {
    while ((await reader?.read())?.done === false);
  });

  const told = readEvents(read);
  const events = `/sessions/${sessionId}/turns/${told[0]?.data.turn_id}/events`;
  const last = { 'last-event-id': String(told.at(-1)?.id) };
  const followed = readEvents(await (await fetch(mortal.parley.url + events, { headers: last })).text());
  assert.deepEqual(
    followed.map(({ event, data }) => [event, data.error.code]),
    [
      ['error', 'events_expired'],
      ['turn.failed', 'server_restarted'],
    ],
  );
  // The key of a turn that failed runs it again.
  const again = await fetch(mortal.parley.url + path, { method: 'POST', headers, body });
  assert.equal(again.headers.get('idempotent-replayed'), null);
  assert.equal(readEvents(await again.text()).at(-1)?.event, 'turn.completed');
  assert.deepEqual(await contents(mortal.parley.url, sessionId), ['Tell me.', 'You said: Tell me.']);
});
