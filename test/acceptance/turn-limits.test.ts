/** Limits of a client's turns by HTTP: how many at the same time, and how many tokens. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call } from './client.ts';
import { removeParley } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const ADMIN = { 'x-admin-token': 'admin-token' };

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ ADMIN_TOKEN: 'admin-token', RATE_CONCURRENT_TURNS: '1' });
});
after(() => server.close());

/** A client with its key, and calls in its name. */
async function client(limits: object) {
  const { body } = await server.call('POST', '/admin/clients', { name: 'one', limits }, ADMIN);
  const key = { authorization: `Bearer ${body.key.key}` };
  const session = async () => (await server.call('POST', '/sessions', {}, key)).body.id;
  const say = (sessionId: string, content: string, more: object = {}) =>
    server.call('POST', `/sessions/${sessionId}/messages`, { content, ...more }, key);
  const turns = async (sessionId: string) =>
    (await server.call('GET', `/sessions/${sessionId}/turns`, undefined, key)).body.data;
  return { id: body.id, key, session, say, turns };
}

test('as many turns run at the same time as the server allows, or the client has been given', async () => {
  const one = await client({});
  const [first, second] = [await one.session(), await one.session()];
  server.double.respondOnce({ waitBefore: new Promise(() => {}) });
  const slow = one.say(first, 'take your time');
  await server.double.arrived(1);
  const denied = await one.say(second, 'now');
  assert.deepEqual([denied.status, denied.body.error.code], [429, 'rate_limited']);
  assert.deepEqual(denied.body.error.details, { retry_after: 1, limit: 'concurrent_turns' });
  assert.equal(denied.headers.get('retry-after'), '1');
  assert.deepEqual(await one.turns(second), []);

  await server.call('PATCH', `/admin/clients/${one.id}`, { limits: { concurrent_turns: 2 } }, ADMIN);
  assert.equal((await one.say(second, 'now')).status, 200);
  const [running] = await one.turns(first);
  await server.call('POST', `/sessions/${first}/turns/${running.id}/cancel`, {}, one.key);
  assert.equal((await slow).status, 409);
});

test('a client has the tokens of a minute, and is told what is left of them', async () => {
  const one = await client({ tokens_per_minute: 2000 });
  const sessionId = await one.session();
  server.double.respondOnce({ text: ['one'], usageCounts: { prompt_tokens: 100, completion_tokens: 1500 } });
  const first = await one.say(sessionId, 'hello');
  assert.equal(first.status, 200);
  assert.match(first.headers.get('ratelimit-policy') ?? '', /"tokens_per_minute";q=2000;qu="tokens";w=60/);
  const asked = server.double.requests.length;
  const second = await one.say(sessionId, 'go on');
  assert.match(second.headers.get('ratelimit') ?? '', /"tokens_per_minute";r=(399|4\d\d);t=\d+/);
  assert.deepEqual([second.status, second.body.error.code], [429, 'rate_limited']);
  const { retry_after: retryAfter, limit, turn_id: turnId } = second.body.error.details;
  assert.ok(limit === 'tokens_per_minute' && retryAfter > 5 && retryAfter < 30);
  assert.equal(second.headers.get('retry-after'), String(retryAfter));
  assert.equal(server.double.requests.length, asked, 'the model was not asked');
  const turns = await one.turns(sessionId);
  assert.deepEqual(
    turns.map(({ id, status }: any) => [id === turnId, status]),
    [
      [false, 'completed'],
      [true, 'failed'],
    ],
  );
  assert.equal((await one.say(sessionId, 'in short', { options: { max_tokens: 10 } })).status, 200);
});

test('a client that has used all its tokens of the day is refused before anything is stored', async () => {
  const one = await client({ tokens_per_day: 1500 });
  const sessionId = await one.session();
  server.double.respondOnce({ text: ['one'], usageCounts: { prompt_tokens: 1000, completion_tokens: 900 } });
  assert.equal((await one.say(sessionId, 'hello')).status, 200);
  const { status, body, headers } = await one.say(sessionId, 'go on');
  assert.deepEqual([status, body.error.details.limit], [429, 'tokens_per_day']);
  const toMidnight = 86_400 - ((Date.now() / 1000) % 86_400);
  assert.ok(Math.abs(body.error.details.retry_after - toMidnight) < 60);
  assert.match(headers.get('ratelimit-policy') ?? '', /"tokens_per_day";q=1500;qu="tokens";w=86400/);
  assert.equal((await one.turns(sessionId)).length, 1);
  // What needs no model is answered.
  assert.equal((await server.call('GET', `/sessions/${sessionId}/messages`, undefined, one.key)).status, 200);
  // An operator who gives more for the day is not told to wait for the next one.
  await server.call('PATCH', `/admin/clients/${one.id}`, { limits: { tokens_per_day: 10_000 } }, ADMIN);
  assert.equal((await one.say(sessionId, 'go on')).status, 200);
});

test('neither a restart nor a limit that is new gives the tokens of a day twice', async (context) => {
  const one = await startParleyWithDouble({ ADMIN_TOKEN: 'admin-token', API_KEYS: 'ada:key-of-ada' });
  context.after(() => one.close());
  const key = { 'x-api-key': 'key-of-ada' };
  const { body: session } = await one.call('POST', '/sessions', {}, key);
  const say = (url: string) => call(url, 'POST', `/sessions/${session.id}/messages`, { content: 'x' }, key);
  one.double.respond({ usageCounts: { prompt_tokens: 900, completion_tokens: 100 } });
  assert.equal((await say(one.url)).status, 200);
  await one.parley.stop('SIGTERM');
  const again = await one.parley.restart({ RATE_TOKENS_PER_DAY: '2500' });
  context.after(() => removeParley(again));
  assert.equal((await say(again.url)).status, 200);
  const denied = await say(again.url);
  assert.deepEqual([denied.status, denied.body.error.details.limit], [429, 'tokens_per_day']);
});

test('what the limits of turns have denied is in the metrics', async () => {
  const text = await server.callRaw('GET', '/metrics', { headers: { accept: 'text/plain' } });
  for (const limit of ['concurrent_turns', 'tokens_per_minute', 'tokens_per_day']) {
    assert.match(
      text.body,
      new RegExp(`parley_rate_limit_decisions_total\\{decision="denied",limit="${limit}"\\} 1`),
    );
  }
});
