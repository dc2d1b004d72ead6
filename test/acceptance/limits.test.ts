/** Limits by HTTP: how many requests an address and a key may send, and what they are told. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { call } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

/** So slow that no token comes back while a test runs. */
const SLOW = { RATE_RPS: '0.001', RATE_BURST: '3', DATABASE_URL: 'memory:' };

async function start(context: TestContext, env: Record<string, string> = {}): Promise<ParleyProcess> {
  const parley = await startParley({ ...SLOW, ...env });
  context.after(() => removeParley(parley));
  return parley;
}

/** The statuses of so many requests, one after another. */
async function statuses(url: string, count: number, headers: Record<string, string> = {}): Promise<number[]> {
  const seen: number[] = [];
  for (let sent = 0; sent < count; sent += 1) {
    seen.push((await call(url, 'GET', '/sessions', undefined, headers)).status);
  }
  return seen;
}

test("answers of OpenAI's API say it in OpenAI's names, granted and denied, and others do not", async (context) => {
  const { url } = await start(context);
  const name = 'x-ratelimit-remaining-requests';
  const left: unknown[] = [];
  for (const path of ['/v1/models', '/sessions', '/v1/conversations', '/v1/conversations']) {
    const { status, headers } = await call(url, 'GET', path);
    left.push([status, headers.get(name), headers.get('x-ratelimit-limit-requests')]);
  }
  assert.deepEqual(left, [
    [200, '2', '3'],
    [200, null, null],
    [200, '0', '3'],
    [429, '0', '3'],
  ]);
});

test('an address may send as many at once as the burst, and is told what is left', async (context) => {
  const { url } = await start(context);
  const first = await call(url, 'GET', '/sessions');
  assert.equal(first.status, 200);
  assert.match(first.headers.get('ratelimit-policy') ?? '', /"address";q=3;w=3000/);
  assert.match(first.headers.get('ratelimit') ?? '', /"address";r=2;t=\d+/);
  assert.deepEqual(await statuses(url, 2), [200, 200]);

  const { status, headers, body } = await call(url, 'GET', '/sessions');
  assert.equal(status, 429);
  assert.equal(body.error.code, 'rate_limited');
  const { retry_after: retryAfter, limit } = body.error.details;
  assert.equal(limit, 'address');
  assert.equal(headers.get('retry-after'), String(retryAfter));
  assert.ok(Number.isInteger(retryAfter) && retryAfter > 900 && retryAfter <= 1000);
  assert.match(headers.get('ratelimit') ?? '', /"address";r=0/);
  // What does not exist is counted as well.
  assert.equal((await call(url, 'GET', '/no-such-path')).status, 429);
});

test('probes and the documentation are not limited', async (context) => {
  const { url } = await start(context, { RATE_BURST: '1' });
  for (const path of ['/health', '/ready', '/openapi.json', '/docs/', '/health', '/ready']) {
    const { status, headers } = await call(url, 'GET', path);
    assert.equal(status, 200, path);
    assert.equal(headers.get('ratelimit'), null, path);
  }
  assert.deepEqual(await statuses(url, 2), [200, 429]);
});

test('a key has a bucket of its own beside that of its address', async (context) => {
  const { url } = await start(context, {
    API_KEYS: 'ada:key-of-ada,bob:key-of-bob',
    RATE_BURST: '4',
    TRUST_PROXY: '1',
  });
  const as = (key: string, address: string) => ({ 'x-api-key': key, 'x-forwarded-for': address });
  assert.deepEqual(await statuses(url, 3, as('key-of-ada', '192.0.2.1')), [200, 200, 200]);
  assert.deepEqual(await statuses(url, 2, as('key-of-ada', '192.0.2.2')), [200, 429]);
  const { body } = await call(url, 'GET', '/sessions', undefined, as('key-of-ada', '192.0.2.2'));
  assert.equal(body.error.details.limit, 'key');
  // What the key was denied has cost the address nothing.
  assert.deepEqual(await statuses(url, 4, as('key-of-bob', '192.0.2.2')), [200, 200, 200, 429]);
});

test('a wrong key costs its address a request, on any path', async (context) => {
  const { url } = await start(context, { API_KEYS: 'ada:key-of-ada' });
  const wrong = { authorization: 'Bearer key-of-eve' };
  for (const path of ['/sessions', '/no-such-path', '/sessions/x/turns/y']) {
    const { status, body } = await call(url, 'GET', path, undefined, wrong);
    assert.deepEqual([status, body.error.code], [401, 'invalid_api_key'], path);
  }
  assert.equal((await call(url, 'GET', '/sessions', undefined, wrong)).status, 429);
});

test('X-Forwarded-For counts where a proxy is trusted, and nowhere else', async (context) => {
  const from = (address: string) => ({ 'x-forwarded-for': address });
  const direct = await start(context, { RATE_BURST: '1' });
  assert.deepEqual(await statuses(direct.url, 1, from('192.0.2.1')), [200]);
  assert.deepEqual(await statuses(direct.url, 1, from('192.0.2.2')), [429]);
  for (const TRUST_PROXY of ['1', '127.0.0.0/8']) {
    const { url } = await start(context, { RATE_BURST: '1', TRUST_PROXY });
    assert.deepEqual(await statuses(url, 2, from('192.0.2.1')), [200, 429]);
    // The last proxy's word counts, not what the client has put before it.
    assert.deepEqual(await statuses(url, 2, from('192.0.2.9, 192.0.2.2')), [200, 429]);
    assert.deepEqual(await statuses(url, 1, from('192.0.2.9')), [200]);
    // An IPv6 network of one customer is one address, however many it has.
    assert.deepEqual(await statuses(url, 1, from('2001:db8:0:1::1')), [200]);
    assert.deepEqual(await statuses(url, 1, from('2001:db8:0:1:ffff::2')), [429]);
    assert.deepEqual(await statuses(url, 1, from('2001:db8:0:2::1')), [200]);
  }
});

test('an address on the allowlist is not limited, from the moment on that it is added', async (context) => {
  const { url } = await start(context, { ADMIN_TOKEN: 'admin-token', TRUST_PROXY: '1', RATE_BURST: '2' });
  const from = (address: string) => ({ 'x-forwarded-for': address });
  const admin = (method: string, path: string, body?: unknown) =>
    call(url, method, path, body, { 'x-admin-token': 'admin-token', ...from('198.51.100.1') });
  assert.equal((await admin('POST', '/admin/bypass', { ip: '198.51.100.0/24' })).status, 201);
  assert.deepEqual(await statuses(url, 3, from('192.0.2.1')), [200, 200, 429]);
  const added = await admin('POST', '/admin/bypass', { ip: '::ffff:192.0.2.1', note: 'the office' });
  assert.deepEqual([added.status, added.body.ip, added.body.note], [201, '192.0.2.1', 'the office']);
  assert.deepEqual(await statuses(url, 5, from('192.0.2.1')), [200, 200, 200, 200, 200]);
  const { body: list } = await admin('GET', '/admin/bypass');
  assert.deepEqual(
    list.data.map(({ ip }: { ip: string }) => ip),
    ['192.0.2.1', '198.51.100.0/24'],
  );
  assert.equal((await admin('DELETE', '/admin/bypass/192.0.2.1')).status, 204);
  assert.deepEqual(await statuses(url, 1, from('192.0.2.1')), [429]);
  const gone = await admin('DELETE', '/admin/bypass/192.0.2.1');
  assert.deepEqual([gone.status, gone.body.error.code], [404, 'bypass_not_found']);
  for (const ip of ['192.0.2', '192.0.2.1/33', 'localhost', '::1/129', '']) {
    const { status, body } = await admin('POST', '/admin/bypass', { ip });
    assert.deepEqual([status, body.error.code], [400, ip === '' ? 'invalid_request' : 'invalid_ip'], ip);
  }
  assert.equal((await admin('DELETE', '/admin/bypass/198.51.100.0/24')).status, 204);
});

test('an entry of the allowlist ends when it expires, and is there after a restart', async (context) => {
  const env = { ADMIN_TOKEN: 'admin-token', TRUST_PROXY: '1', DATABASE_URL: 'sqlite:data/parley.db' };
  const parley = await start(context, env);
  const headers = { 'x-admin-token': 'admin-token', 'x-forwarded-for': '198.51.100.1' };
  const past = new Date(Date.now() - 1000).toISOString();
  for (const body of [{ ip: '192.0.2.1', expires_at: past }, { ip: '192.0.2.2' }]) {
    assert.equal((await call(parley.url, 'POST', '/admin/bypass', body, headers)).status, 201);
  }
  await parley.stop();
  const again = await parley.restart();
  context.after(() => removeParley(again));
  const from = (address: string) => ({ 'x-forwarded-for': address });
  assert.equal((await statuses(again.url, 4, from('192.0.2.1'))).at(-1), 429);
  assert.equal((await statuses(again.url, 4, from('192.0.2.2'))).at(-1), 200);
});
