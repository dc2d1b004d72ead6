/** `Server-Timing`: what of a request's time was Parley's, what was the providers', and what was waited for else. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer } from './client.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { openConnection, parseAnswer } from './raw-http.ts';

/** So long that a busy machine's own time is not taken for it. */
const LONG = 400;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

/** The shares by name, in milliseconds. */
function shares({ headers }: Pick<Answer, 'headers'>): Record<string, number> {
  const text = headers.get('server-timing') ?? '';
  assert.match(text, /^parley;dur=\d+\.\d(, provider;dur=\d+\.\d)?(, wait;dur=\d+\.\d)?$/);
  return Object.fromEntries(
    text.split(', ').map((part) => {
      const [name = '', duration = ''] = part.split(';dur=');
      return [name, Number(duration)];
    }),
  );
}

/** Counted from when the double is asked: on its way there a request may take any time. */
const slowly = (text: string) => ({ text, waitBefore: () => pause(LONG) });

test('every answer has it, errors as well', async () => {
  for (const path of ['/health', '/nowhere', '/openapi.json', '/docs/', '/sessions?limit=0']) {
    assert.deepEqual(Object.keys(shares(await server.callRaw('GET', path))), ['parley'], path);
  }
});

test('the time of providers is not counted as its own, streamed or not, answered or failed', async () => {
  const sessionId = await server.newSession();
  for (const stream of [false, true]) {
    server.double.respondOnce(slowly('late'));
    const { provider = 0 } = shares(await server.send(sessionId, 'Hello', { stream }));
    assert.ok(provider >= LONG * 0.9, String(provider));
  }
  server.double.respondOnce({ ...slowly(''), status: 400 });
  const failed = await server.send(sessionId, 'Hello');
  assert.equal(failed.status, 400);
  assert.ok((shares(failed)['provider'] ?? 0) >= LONG * 0.9);
});

test("the pause before a second attempt is neither its own nor the provider's", async () => {
  const sessionId = await server.newSession();
  server.double.respondOnce({ status: 503 });
  const answer = await server.send(sessionId, 'Hello');
  assert.equal(answer.body.attempts.length, 2);
  const [first, second] = answer.body.attempts;
  const between = Date.parse(second.started_at) - Date.parse(first.started_at) - first.duration_ms;
  const { wait = 0, provider = 0 } = shares(answer);
  // Read by two clocks at two moments, between which a busy machine may do something else.
  assert.ok(Math.abs(wait - between) <= 50, `${wait} for ${between}`);
  assert.ok(provider > 0);
});

test('a message that waits for its session says so', async () => {
  const sessionId = await server.newSession();
  server.double.respondOnce(slowly('first'), { text: 'second' });
  const first = server.send(sessionId, 'One');
  await server.double.arrived(1);
  const { wait = 0, provider = 0 } = shares(await server.send(sessionId, 'Two'));
  assert.ok(wait >= LONG / 2, String(wait));
  assert.ok(provider < wait);
  await first;
});

test('who is told what was answered before has waited for no provider, who joins for the rest alone', async () => {
  const sessionId = await server.newSession();
  const key = { 'idempotency-key': 'k' };
  const held = Promise.withResolvers<void>();
  server.double.respondOnce({ text: 'late', waitBefore: held.promise });
  const send = () => server.call('POST', `/sessions/${sessionId}/messages`, { content: 'Hello' }, key);
  const begun = send();
  await server.double.arrived(1);
  await pause(LONG);
  const joined = send();
  // Later than the second request on its way, so that it joins the turn while it runs.
  await server.call('GET', '/health');
  held.resolve();
  const [first, second] = [shares(await begun), shares(await joined)];
  assert.equal((await joined).headers.get('idempotent-replayed'), 'true');
  assert.ok((first['provider'] ?? 0) >= LONG * 0.9);
  assert.ok((second['provider'] ?? 0) < (first['provider'] ?? 0) - LONG / 2, JSON.stringify([first, second]));

  const replayed = await send();
  assert.equal(replayed.headers.get('idempotent-replayed'), 'true');
  assert.equal(shares(replayed)['provider'], undefined);
});

test('a body that comes slowly is waited for', async () => {
  const connection = openConnection(server.url);
  connection.write(
    'POST /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n' +
      'Content-Length: 2\r\n\r\n{',
  );
  await server.call('GET', '/health');
  await pause(LONG);
  connection.write('}');
  const answer = parseAnswer(await connection.ended);
  assert.equal(answer.status, 201);
  assert.ok((shares(answer)['wait'] ?? 0) >= LONG * 0.9);
});
