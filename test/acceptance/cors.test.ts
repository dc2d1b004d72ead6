/** Cross-origin requests of browsers: off unless CORS_ORIGINS, then for its pages alone, and never with credentials. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { removeParley, startParley } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { sendRequest } from './raw-http.ts';

const PAGE = 'https://app.example.com';
const STRANGER = 'https://evil.example.com';
const KEY = { authorization: 'Bearer key-of-ada' };

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({
    CORS_ORIGINS: `${PAGE}, http://localhost:3000`,
    API_KEYS: 'ada:key-of-ada',
    ADMIN_TOKEN: 'admin',
    // So slow that no token comes back while a test runs.
    RATE_RPS: '0.001',
    RATE_BURST: '40',
  });
});
beforeEach(() => server.double.reset());
after(() => server.close());

/** The CORS headers that there are. */
const granted = (headers: Headers) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

const list = (text: string | null | undefined) => (text ?? '').split(', ').map((name) => name.toLowerCase());

/** `fetch` sends no `Origin` that one chooses. */
const from = (origin: string | null, line: string, headers: Record<string, string> = {}, body = '') => {
  const all = Object.entries({ ...headers, ...(origin === null ? {} : { origin }) });
  const length = body === '' ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  return sendRequest(
    server.url,
    line,
    all.map(([name, value]) => `${name}: ${value}\r\n`).join('') + length,
    body,
  );
};

const preflight = (origin: string, path: string, method = 'POST') =>
  from(origin, `OPTIONS ${path}`, {
    'access-control-request-method': method,
    'access-control-request-headers': 'authorization,content-type',
  });

test('without CORS_ORIGINS nothing is said of it, and a preflight is an unknown method', async (context) => {
  const parley = await startParley();
  context.after(() => removeParley(parley));
  const headers = `Origin: ${PAGE}\r\nAccess-Control-Request-Method: POST\r\n`;
  const asked = await sendRequest(parley.url, 'OPTIONS /sessions', headers);
  assert.equal(asked.status, 405);
  const answered = await sendRequest(parley.url, 'GET /sessions', headers);
  assert.equal(answered.status, 200);
  for (const answer of [asked, answered]) {
    assert.deepEqual(granted(answer.headers), {});
    assert.equal(answer.headers.get('vary'), null);
  }
});

test('a page of the list may ask without a key, and is not counted', async () => {
  for (const path of [
    '/sessions',
    '/sessions/x/messages',
    '/sessions/x/turns/y/events',
    '/nowhere',
    '/health',
  ]) {
    const { status, headers, body } = await preflight(PAGE, path);
    assert.deepEqual([status, body], [204, ''], path);
    assert.equal(headers.get('access-control-allow-origin'), PAGE);
    assert.equal(headers.get('access-control-allow-credentials'), null);
    assert.equal(headers.get('ratelimit'), null, 'not counted');
    assert.ok(Number(headers.get('access-control-max-age')) > 0);
    assert.ok(list(headers.get('vary')).includes('origin'));
    const methods = list(headers.get('access-control-allow-methods'));
    for (const method of ['get', 'post', 'patch', 'delete']) assert.ok(methods.includes(method), method);
    const allowed = list(headers.get('access-control-allow-headers'));
    for (const name of ['authorization', 'x-api-key', 'content-type', 'x-request-id', 'traceparent']) {
      assert.ok(allowed.includes(name), name);
    }
    assert.equal(allowed.includes('x-admin-token'), false);
  }
});

test('every header that an operation reads may be sent', async () => {
  const { headers } = await preflight(PAGE, '/sessions');
  const allowed = list(headers.get('access-control-allow-headers'));
  const read = Object.entries(server.document.paths)
    .filter(([path]) => !path.startsWith('/admin'))
    .flatMap(([, operations]) => Object.values(operations))
    .flatMap(({ parameters = [] }) => parameters.filter((parameter) => parameter.in === 'header'))
    .map(({ name }) => name.toLowerCase())
    // Browsers let every page send it.
    .filter((name) => name !== 'accept');
  assert.ok(read.length > 2);
  for (const name of read) assert.ok(allowed.includes(name), name);
});

test('answers, errors and streams can be read by the page, with their headers', async () => {
  const made = await from('http://localhost:3000', 'POST /sessions', KEY, '{}');
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('access-control-allow-origin'), 'http://localhost:3000');
  const exposed = list(made.headers.get('access-control-expose-headers'));
  for (const name of [
    'x-request-id',
    'ratelimit',
    'ratelimit-policy',
    'retry-after',
    'idempotent-replayed',
    'location',
    'server-timing',
  ]) {
    assert.ok(exposed.includes(name), name);
  }
  const path = `/sessions/${made.body.id}/messages`;
  const answers = {
    200: await from(PAGE, `POST ${path}`, KEY, '{"content": "Hello", "stream": true}'),
    401: await from(PAGE, 'GET /sessions'),
    404: await from(PAGE, 'GET /nowhere', KEY),
    405: await from(PAGE, 'OPTIONS /sessions', KEY),
    400: await from(PAGE, 'GET /sessions/%zz', KEY),
  };
  for (const [status, answer] of Object.entries(answers)) {
    assert.equal(answer.status, Number(status));
    assert.equal(answer.headers.get('access-control-allow-origin'), PAGE, status);
    assert.ok(list(answer.headers.get('vary')).includes('origin'), status);
  }
  assert.match(answers[200].headers.get('content-type') ?? '', /event-stream/);
});

test('other pages are told nothing, and neither is who is no page', async () => {
  const asked = await preflight(STRANGER, '/sessions');
  assert.ok(asked.status >= 400);
  const answered = await from(STRANGER, 'GET /health');
  assert.equal(answered.status, 200, 'it is the browser that refuses');
  for (const origin of [
    `${PAGE}.evil.example`,
    'null',
    PAGE.toUpperCase(),
    `${PAGE}/`,
    'http://app.example.com',
  ]) {
    assert.deepEqual(granted((await from(origin, 'GET /health')).headers), {}, origin);
  }
  const none = await from(null, 'GET /health');
  for (const { headers } of [asked, answered, none]) {
    assert.deepEqual(granted(headers), {});
    assert.ok(list(headers.get('vary')).includes('origin'), 'a cache must not mix them up');
  }
});

test('what varies for another reason varies for both', async () => {
  const { headers } = await from(PAGE, 'GET /metrics');
  assert.deepEqual(list(headers.get('vary')).toSorted(), ['accept', 'origin']);
});

test('administration is not for pages of elsewhere', async () => {
  const asked = await preflight(PAGE, '/admin/clients');
  assert.ok(asked.status >= 400);
  const answered = await from(PAGE, 'GET /admin/clients', { 'x-admin-token': 'admin' });
  assert.equal(answered.status, 200);
  // A path is what it is dispatched as, however it is written.
  const written = await from(PAGE, 'GET /%61dmin/clients', { 'x-admin-token': 'admin' });
  assert.equal(written.status, 200);
  for (const { headers } of [asked, answered, written]) assert.deepEqual(granted(headers), {});
});

test('who is limited can read it, and may still ask', async () => {
  let limited = await from(PAGE, 'GET /sessions', KEY);
  for (let sent = 0; limited.status !== 429 && sent < 100; sent += 1)
    limited = await from(PAGE, 'GET /sessions', KEY);
  assert.equal(limited.status, 429);
  assert.equal(limited.headers.get('access-control-allow-origin'), PAGE);
  assert.ok(limited.headers.has('retry-after'));
  assert.equal((await preflight(PAGE, '/sessions')).status, 204);
});

test('with * every page may, and caches need not tell them apart', async (context) => {
  const parley = await startParley({ CORS_ORIGINS: '*' });
  context.after(() => removeParley(parley));
  const { headers } = await sendRequest(parley.url, 'GET /sessions', `Origin: ${STRANGER}\r\n`);
  assert.equal(headers.get('access-control-allow-origin'), '*');
  assert.equal(headers.get('access-control-allow-credentials'), null);
  assert.equal(headers.get('vary'), null);
  const administration = await sendRequest(parley.url, 'GET /admin/clients', `Origin: ${STRANGER}\r\n`);
  assert.deepEqual(granted(administration.headers), {});
});
