/** Usage by HTTP: what clients have used, by day, client, provider and model, kept through a restart. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call } from './client.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const ADMIN = { 'x-admin-token': 'admin' };
const ADA = { 'x-api-key': 'key-of-ada' };

const COUNTS = {
  prompt_tokens: 10,
  completion_tokens: 4,
  total_tokens: 14,
  prompt_tokens_details: { cached_tokens: 6 },
  completion_tokens_details: { reasoning_tokens: 1 },
  cost: 0.25,
};

/** What so many turns use of which each uses `COUNTS`. */
const used = (turns: number) => ({
  turns,
  attempts: turns,
  input_tokens: 10 * turns,
  output_tokens: 4 * turns,
  cached_tokens: 6 * turns,
  reasoning_tokens: turns,
  cost: 0.25 * turns,
});

async function setUp(context: TestContext): Promise<ParleyWithDouble> {
  const server = await startParleyWithDouble({ ADMIN_TOKEN: 'admin', API_KEYS: 'ada:key-of-ada' });
  context.after(() => server.close());
  server.double.respond({ usageCounts: COUNTS });
  return server;
}

/** Sends these messages, with the key, to a session of their own; returns how they were answered. */
async function converse(
  url: string,
  who: Record<string, string>,
  messages: readonly object[],
): Promise<number[]> {
  const { body: session } = await call(url, 'POST', '/sessions', {}, who);
  const statuses: number[] = [];
  for (const message of messages) {
    const body = { content: 'Hello', ...message };
    statuses.push((await call(url, 'POST', `/sessions/${session.id}/messages`, body, who)).status);
  }
  return statuses;
}

async function usageOf(url: string, query = ''): Promise<any> {
  const { status, body } = await call(url, 'GET', `/admin/usage${query}`, undefined, ADMIN);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

const today = () => new Date().toISOString().slice(0, 10);

test('usage is counted by client, provider and model, over restarts, and remembers who is gone', async (context) => {
  const { parley, url, double, call: ask } = await setUp(context);
  const { body: client } = await ask('POST', '/admin/clients', { name: 'Shop' }, ADMIN);
  await converse(url, ADA, [{}, {}, { model: 'large' }]);
  await converse(url, { 'x-api-key': client.key.key }, [{}]);
  double.respondOnce({ status: 404 });
  // Nobody has answered, so there is nothing to count, and no place for a name that was made up.
  assert.deepEqual(await converse(url, ADA, [{ model: 'made-up' }]), [502]);

  assert.equal(await parley.stop(), 0);
  const second = await parley.restart();
  context.after(() => second.stop('SIGKILL'));
  await converse(second.url, ADA, [{}]);
  assert.equal(await second.stop(), 0);
  const third = await second.restart();
  context.after(() => third.stop('SIGKILL'));

  const ada = { owner: 'static:ada', client_name: 'ada', provider: 'openai' };
  const shop = { owner: client.id, client_name: 'Shop', provider: 'openai' };
  const { data } = await usageOf(third.url, '?by=model,client,provider');
  assert.deepEqual(
    data.toSorted((one: any, other: any) => other.turns - one.turns || (one.model < other.model ? -1 : 1)),
    [
      { ...ada, model: 'double-model', ...used(3) },
      { ...shop, model: 'double-model', ...used(1) },
      { ...ada, model: 'large', ...used(1) },
    ],
  );
  assert.deepEqual((await usageOf(third.url, '?by=')).data, [used(5)]);
  assert.deepEqual((await usageOf(third.url, `?by=model&owner=${client.id}`)).data, [
    { model: 'double-model', ...used(1) },
  ]);
  await call(third.url, 'DELETE', `/admin/clients/${client.id}`, undefined, ADMIN);
  const { data: left } = await usageOf(third.url, `?by=client&owner=${client.id}`);
  assert.deepEqual(left, [{ owner: client.id, client_name: null, ...used(1) }]);
});

test('usage is there seconds after a turn, by day for the last thirty days', async (context) => {
  const { url, call: ask } = await setUp(context);
  const first = today();
  await converse(url, ADA, [{}, {}]);
  const last = today();
  let body = await usageOf(url);
  // Nothing tells when it is written.
  while (body.data.reduce((turns: number, sum: any) => turns + sum.turns, 0) < 2) {
    await pause(50);
    body = await usageOf(url);
  }
  assert.ok(body.data.every(({ day }: any) => day === first || day === last));
  assert.equal(Date.parse(body.to) - Date.parse(body.from), 29 * 24 * 60 * 60 * 1000);
  assert.equal(body.has_more, false);
  // As documented, whatever is asked for.
  for (const query of ['', '?by=', '?by=day,client,provider,model', `?from=${first}&to=${last}`]) {
    const { status } = await ask('GET', `/admin/usage${query}`, undefined, ADMIN);
    assert.equal(status, 200, query);
  }
  assert.deepEqual((await usageOf(url, '?from=2026-01-01&to=2026-01-31')).data, []);
});

test('days and parts that there are not are refused, each with its name', async (context) => {
  const { call: ask } = await setUp(context);
  for (const [query, path] of [
    ['from=2026-02-30', '/from'],
    ['to=yesterday', '/to'],
    ['from=2026-02-02&to=2026-02-01', '/from'],
    ['from=2024-01-01&to=2026-01-01', '/from'],
    ['from=2126-01-01', '/from'],
    ['by=hour', '/by'],
    ['by=day,', '/by'],
    ['owner=', '/owner'],
  ] as const) {
    const { status, body } = await ask('GET', `/admin/usage?${query}`, undefined, ADMIN);
    assert.deepEqual([status, body.error.details?.problems[0].path], [400, path], query);
  }
  assert.equal((await ask('GET', '/admin/usage', undefined, ADA)).status, 401);
});
