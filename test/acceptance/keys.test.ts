/** Keys by HTTP: who may call, and that nobody sees what belongs to somebody else. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Answer, call } from './client.ts';
import type { OpenApiDocument } from './openapi-document.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'admin-token-1' };

let parley: ParleyProcess;
before(async () => {
  parley = await startParley({ API_KEYS: 'ada:key-of-ada,bob:key-of-bob', ADMIN_TOKEN: 'admin-token-1' });
});
after(() => removeParley(parley));

const ada = { authorization: 'Bearer key-of-ada' };
const bob = { 'x-api-key': 'key-of-bob' };

const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call(parley.url, method, path, body, headers);

const refusal = ({ status, body }: Answer) => [status, body.error.code];

test('without a key, or with a wrong one, nothing is answered but what is open to all', async () => {
  for (const path of ['/sessions', '/sessions/x', '/providers', '/no-such-path']) {
    assert.deepEqual(refusal(await ask('GET', path)), [401, 'missing_api_key'], path);
    assert.deepEqual(refusal(await ask('GET', path, undefined, { 'x-api-key': 'no' })), [
      401,
      'invalid_api_key',
    ]);
  }
  for (const path of ['/health', '/ready', '/openapi.json'])
    assert.equal((await ask('GET', path)).status, 200);
  for (const headers of [ada, bob, { authorization: 'bearer  key-of-ada' }]) {
    assert.equal((await ask('GET', '/sessions', undefined, headers as Record<string, string>)).status, 200);
  }
});

test("nor are another owner's responses there, whatever they are asked for", async () => {
  const { body: mine } = await ask('POST', '/v1/responses', { input: 'Mine' }, ada);
  const conversation = mine.id.replace(/^resp_(.{32}).*/, 'conv_$1');
  const none = '0'.repeat(32);
  const document: OpenApiDocument = (await ask('GET', '/openapi.json')).body;
  const paths = Object.keys(document.paths).filter((template) => template.includes('{response_id}'));
  const asked = paths.flatMap((template) =>
    Object.keys(document.paths[template] ?? {}).map((method): [string, (id: string) => string] => [
      method.toUpperCase(),
      (id) => template.replace('{response_id}', id),
    ]),
  );
  assert.ok(asked.length >= 4);
  for (const [method, path] of asked) {
    const before = await storeCalls();
    const theirs = await ask(method, path(mine.id), undefined, bob);
    const between = await storeCalls();
    const nobodys = await ask(method, path(`resp_${none}${none}`), undefined, bob);
    assert.deepEqual([theirs.status, theirs.body], [404, nobodys.body], `${method} ${path('…')}`);
    assert.deepEqual(difference(before, between), difference(between, await storeCalls()), method);
  }
  for (const [place, id] of [
    ['previous_response_id', `resp_${none}${none}`],
    ['conversation', `conv_${none}`],
  ] as const) {
    const given = place === 'conversation' ? conversation : mine.id;
    const theirs = await ask('POST', '/v1/responses', { input: 'x', [place]: given }, bob);
    const nobodys = await ask('POST', '/v1/responses', { input: 'x', [place]: id }, bob);
    assert.deepEqual([theirs.status, theirs.body], [nobodys.status, nobodys.body], place);
    assert.equal(theirs.body.error.param, place);
  }
  const item = { type: 'item_reference', id: mine.output[0].id };
  const referred = await ask('POST', '/v1/responses', { input: [item] }, bob);
  assert.deepEqual(refusal(referred), [404, 'item_not_found']);
  assert.deepEqual((await ask('GET', '/v1/responses', undefined, bob)).body.data, []);
  assert.equal((await ask('GET', `/v1/responses/${mine.id}`, undefined, ada)).status, 200);
});

test("on every route another owner's session is answered as one that is not there", async () => {
  const { body: session } = await ask('POST', '/sessions', {}, ada);
  const { body: answer } = await ask('POST', `/sessions/${session.id}/messages`, { content: 'Mine' }, ada);
  const document: OpenApiDocument = (await ask('GET', '/openapi.json')).body;
  const missing = '01900000-0000-7000-8000-000000000000';
  let walked = 0;
  for (const [template, operations] of Object.entries(document.paths)) {
    if (!template.includes('{session_id}') || template.startsWith('/admin/')) continue;
    for (const method of Object.keys(operations)) {
      const path = (sessionId: string) =>
        template
          .replace('{session_id}', sessionId)
          .replace('{turn_id}', answer.turn_id)
          .replace('{message_id}', answer.message.id);
      const body = ['post', 'patch'].includes(method) ? bodyFor(template) : undefined;
      const before = await storeCalls();
      const theirs = await ask(method.toUpperCase(), path(session.id), body, bob);
      const between = await storeCalls();
      const nobodys = await ask(method.toUpperCase(), path(missing), body, bob);
      const after = await storeCalls();
      assert.equal(theirs.status, 404, `${method} ${template}`);
      assert.deepEqual(withoutId(theirs), withoutId(nobodys), `${method} ${template}`);
      assert.notDeepEqual(difference(before, between), {}, `${method} ${template}`);
      // The same work takes the same time: nobody learns by a clock what the answer does not tell.
      assert.deepEqual(difference(before, between), difference(between, after), `${method} ${template}`);
      walked += 1;
    }
  }
  assert.ok(walked >= 10);
  assert.deepEqual((await ask('GET', '/sessions', undefined, bob)).body.data, []);
  const { body: messages } = await ask('GET', `/sessions/${session.id}/messages`, undefined, ada);
  assert.equal(messages.data.length, 2);
});

type Calls = Record<string, number>;

/** How often each method of the store was called, but for what the server does by itself. */
async function storeCalls(): Promise<Calls> {
  const { body } = await ask('GET', '/metrics', undefined, { accept: 'text/plain' });
  const lines = String(body).matchAll(
    /^parley_store_call_duration_seconds_count\{method="(\w+)",.*\} (\d+)$/gm,
  );
  const calls = [...lines].map(([, method = '', count]): [string, number] => [method, Number(count)]);
  const own = new Set(['sweep', 'ping', 'noteKeyUses', 'saveUsage']);
  return Object.fromEntries(calls.filter(([method]) => !own.has(method)));
}

function difference(before: Calls, after: Calls): Calls {
  const grown = Object.entries(after).map(([method, count]) => [method, count - (before[method] ?? 0)]);
  return Object.fromEntries(grown.filter(([, count]) => count !== 0));
}

function bodyFor(template: string): object {
  if (template.endsWith('/inputs')) return { request_id: 'r', action: 'decline' };
  if (template.endsWith('/approvals'))
    return { approvals: [{ approval_request_id: 'mcpr_1', approve: true }] };
  if (template.startsWith('/ui/')) {
    return { messages: [{ role: 'user', parts: [{ type: 'text', text: 'Theirs' }] }], on_busy: 'interrupt' };
  }
  return template.endsWith('/messages') ? { content: 'Theirs', on_busy: 'interrupt' } : {};
}

function withoutId({ status, body }: Answer): object {
  return { status, body: { ...body, request_id: undefined } };
}

test('a managed key works once it is made, has the limits of its client, and not after it is revoked', async () => {
  const made = await ask('POST', '/admin/clients', { name: 'shop', limits: { rps: 0.001, burst: 2 } }, ADMIN);
  assert.equal(made.status, 201);
  const { key } = made.body.key;
  assert.ok(key.startsWith('pk_') && key.includes(made.body.key.prefix));
  const shop = { authorization: `Bearer ${key}` };
  assert.equal((await ask('GET', '/sessions', undefined, shop)).status, 200);
  assert.equal((await ask('GET', '/sessions', undefined, shop)).status, 200);
  const denied = await ask('GET', '/sessions', undefined, shop);
  assert.deepEqual([denied.status, denied.body.error.details.limit], [429, 'key']);

  const { body: keys } = await ask('GET', `/admin/clients/${made.body.id}/keys`, undefined, ADMIN);
  assert.equal(keys.data.length, 1);
  assert.doesNotMatch(JSON.stringify(keys), new RegExp(key));
  const changed = await ask('PATCH', `/admin/clients/${made.body.id}`, { limits: { burst: 100 } }, ADMIN);
  assert.deepEqual(changed.body.limits, {
    rps: 0.001,
    burst: 100,
    concurrent_turns: null,
    tokens_per_minute: null,
    tokens_per_day: null,
  });
  const rotated = await ask('POST', `/admin/keys/${made.body.key.id}/rotate`, {}, ADMIN);
  assert.equal(rotated.status, 201);
  assert.deepEqual(refusal(await ask('GET', '/sessions', undefined, shop)), [401, 'api_key_revoked']);
  const next = { authorization: `Bearer ${rotated.body.key}` };
  assert.notEqual((await ask('GET', '/sessions', undefined, next)).status, 401);
  assert.equal((await ask('DELETE', `/admin/keys/${rotated.body.id}`, undefined, ADMIN)).status, 204);
  assert.deepEqual(refusal(await ask('GET', '/sessions', undefined, next)), [401, 'api_key_revoked']);

  const past = new Date(Date.now() - 1000).toISOString();
  const late = await ask('POST', `/admin/clients/${made.body.id}/keys`, { expires_at: past }, ADMIN);
  const expired = { 'x-api-key': late.body.key };
  assert.deepEqual(refusal(await ask('GET', '/sessions', undefined, expired)), [401, 'api_key_expired']);
  assert.doesNotMatch(parley.output(), /pk_/);
});

test('every change is in the audit log, and no key is', async () => {
  const { body: made } = await ask('POST', '/admin/clients', { name: 'audited' }, ADMIN);
  await ask('PATCH', `/admin/clients/${made.id}`, { name: 'audited twice' }, ADMIN);
  assert.equal((await ask('DELETE', `/admin/clients/${made.id}`, undefined, ADMIN)).status, 204);
  const { body: audit } = await ask('GET', '/admin/audit?limit=100', undefined, ADMIN);
  const actions = audit.data
    .filter(({ subject, details }: any) => subject === made.id || details.client_id === made.id)
    .map(({ action }: any) => action);
  assert.ok(actions.length >= 3, JSON.stringify(actions));
  assert.doesNotMatch(JSON.stringify(audit), new RegExp(made.key.key));
});

test('the administration wants its token', async () => {
  assert.deepEqual(refusal(await ask('GET', '/admin/clients')), [401, 'missing_admin_token']);
  const wrong = { 'x-admin-token': 'admin-token-2' };
  assert.deepEqual(refusal(await ask('GET', '/admin/clients', undefined, wrong)), [
    401,
    'invalid_admin_token',
  ]);
  // A client's key opens nothing here.
  assert.deepEqual(refusal(await ask('GET', '/admin/clients', undefined, ada)), [401, 'missing_admin_token']);
});

test('wrong tokens of the administration are limited per address, and right ones are not', async (context) => {
  const limited = await startParley({
    ADMIN_TOKEN: 'admin-token-1',
    TRUST_PROXY: '1',
    RATE_RPS: '0.001',
    RATE_BURST: '3',
    DATABASE_URL: 'memory:',
  });
  context.after(() => removeParley(limited));
  const look = async (token: string, address: string) => {
    const headers = { 'x-admin-token': token, 'x-forwarded-for': address };
    const { status, body } = await call(limited.url, 'GET', '/admin/clients', undefined, headers);
    return status === 200 ? status : [status, body.error.code, body.error.details?.limit];
  };
  for (let time = 0; time < 10; time += 1) assert.equal(await look('admin-token-1', '192.0.2.1'), 200);
  for (let time = 0; time < 3; time += 1) {
    assert.deepEqual(await look('guess', '192.0.2.1'), [401, 'invalid_admin_token', undefined]);
  }
  // From now on it could guess right, and would not be told.
  for (const token of ['guess', 'admin-token-1']) {
    assert.deepEqual(await look(token, '192.0.2.1'), [429, 'rate_limited', 'admin']);
  }
  assert.equal(await look('admin-token-1', '192.0.2.2'), 200);
  // Neither do failures cost what the address may ask of the API.
  const from = { 'x-forwarded-for': '192.0.2.1' };
  assert.equal((await call(limited.url, 'GET', '/sessions', undefined, from)).status, 200);
});

test('without ADMIN_TOKEN there is no administration', async (context) => {
  const open = await startParley({ DATABASE_URL: 'memory:' });
  context.after(() => removeParley(open));
  const { status, body } = await call(open.url, 'GET', '/admin/bypass', undefined, ADMIN);
  assert.deepEqual([status, body.error.code], [503, 'admin_disabled']);
});

test('sessions of an open server are not there for clients with keys', async (context) => {
  const open = await startParley();
  const { body: session } = await call(open.url, 'POST', '/sessions', {});
  await open.stop();
  const closed = await open.restart({ API_KEYS: 'ada:key-of-ada' });
  context.after(() => removeParley(closed));
  const { status } = await call(closed.url, 'GET', `/sessions/${session.id}`, undefined, ada);
  assert.equal(status, 404);
});
