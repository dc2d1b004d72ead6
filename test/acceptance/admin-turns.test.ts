/** Recent turns by HTTP: who, when, with which attempts, and nothing of what was said. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const ADMIN = { 'x-admin-token': 'admin' };
const ADA = { 'x-api-key': 'key-of-ada' };
const BOB = { 'x-api-key': 'key-of-bob' };
/** Said by a client, by a model, and by a model that was interrupted. */
const SECRETS = ['raspberry', 'gooseberry', 'elderberry', 'cloudberry'] as const;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ ADMIN_TOKEN: 'admin', API_KEYS: 'ada:key-of-ada,bob:key-of-bob' });
});
after(() => server.close());

const admin = (path: string) => server.call('GET', `/admin${path}`, undefined, ADMIN);

async function sessionOf(who: Record<string, string>): Promise<string> {
  return (await server.call('POST', '/sessions', {}, who)).body.id;
}

const send = (who: Record<string, string>, sessionId: string, content: string) =>
  server.call('POST', `/sessions/${sessionId}/messages`, { content }, who);

async function all(query: string): Promise<any[]> {
  const found: any[] = [];
  for (let after = ''; ; ) {
    const { status, body } = await admin(`/turns?limit=2&${query}${after}`);
    assert.equal(status, 200, JSON.stringify(body));
    found.push(...body.data);
    if (!body.has_more) return found;
    after = `&after=${body.last_id}`;
  }
}

test('turns are shown newest first with their attempts, and without what was said in them', async () => {
  const [one, two] = [await sessionOf(ADA), await sessionOf(BOB)];
  const [said, answered, thought, broken] = SECRETS;
  server.double.respondOnce({ text: answered, reasoning: thought, usageCounts: { prompt_tokens: 3 } });
  const { body: first } = await send(ADA, one, `What of the ${said}?`);
  server.double.respondOnce({ status: 404 });
  assert.equal((await send(BOB, two, `A ${said}, please`)).status, 502);
  const gate = createGate();
  server.double.respondOnce({ text: [broken, 'rest'], waitBefore: gate.opened });
  const running = send(ADA, one, said);
  await server.double.arrived(server.double.requests.length + 1);

  const turns = await all('');
  assert.deepEqual(
    turns.map(({ owner, session_id, status }) => [owner, session_id, status]),
    [
      ['static:ada', one, 'in_progress'],
      ['static:bob', two, 'failed'],
      ['static:ada', one, 'completed'],
    ],
  );
  gate.open();
  await running;
  const [, failed, completed] = turns;
  assert.deepEqual([failed.error.code, failed.attempts[0].error.kind], ['provider_error', 'model_not_found']);
  assert.deepEqual([completed.id, completed.usage.input_tokens], [first.turn_id, 3]);
  const { body: own } = await server.call('GET', `/sessions/${one}/turns/${first.turn_id}`, undefined, ADA);
  const { input: _, output: __, ...shown } = own;
  assert.deepEqual(completed, { ...shown, owner: 'static:ada' });
  assert.deepEqual((await admin(`/turns/${first.turn_id}`)).body, completed);
  const text = JSON.stringify([await all(''), (await admin(`/turns/${turns[0].id}`)).body]);
  for (const secret of SECRETS) assert.ok(!text.includes(secret), secret);
});

test('turns are found by what they are, alone and together', async () => {
  const [one, two] = [await sessionOf(ADA), await sessionOf(BOB)];
  const { body: early } = await send(ADA, one, 'one');
  const end = Date.parse((await admin(`/turns/${early.turn_id}`)).body.completed_at);
  while (Date.now() <= end) await new Promise(setImmediate);
  const since = new Date(end + 1).toISOString();
  server.double.respondOnce({ status: 404 });
  const failed = (await send(ADA, one, 'two')).body.error.details.turn_id;
  const { turn_id: late } = (await send(BOB, two, 'three')).body;
  const found = async (query: string) => (await all(query)).map(({ id }) => id);
  assert.deepEqual((await found('')).slice(0, 3), [late, failed, early.turn_id]);
  assert.deepEqual(await found(`session_id=${one}`), [failed, early.turn_id]);
  assert.deepEqual(await found(`session_id=${one}&status=failed`), [failed]);
  assert.deepEqual(await found(`since=${since}`), [late, failed]);
  assert.deepEqual(await found(`since=${since}&owner=static:ada`), [failed]);
  assert.ok((await found('provider=openai')).length >= 3);
  assert.deepEqual(await found('provider=demo'), []);
  assert.deepEqual(await found('owner=nobody'), []);
  assert.ok((await found('status=failed')).includes(failed));
  assert.deepEqual(await found('session_id=01900000-0000-7000-8000-000000000000'), []);
});

test('what cannot be looked for is refused, and a turn that is not there is missing', async () => {
  for (const query of [
    'status=x',
    'status=queued',
    'since=yesterday',
    'session_id=x',
    'order=asc',
    'limit=101',
  ]) {
    assert.equal((await admin(`/turns?${query}`)).status, 400, query);
  }
  const id = await sessionOf(ADA);
  const { body: answer } = await send(ADA, id, 'Hello');
  await server.call('DELETE', `/sessions/${id}`, undefined, ADA);
  for (const turnId of [answer.turn_id, 'x', '01900000-0000-7000-8000-000000000000']) {
    const { status, body } = await admin(`/turns/${turnId}`);
    assert.deepEqual([status, body.error.code], [404, 'turn_not_found'], turnId);
  }
  for (const path of ['/admin/turns', `/admin/turns/${answer.turn_id}`]) {
    assert.equal((await server.call('GET', path, undefined, ADA)).status, 401, path);
  }
});
