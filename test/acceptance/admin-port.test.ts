/** ADMIN_PORT: the administration as a server of its own, and no part of the API's. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { type Answer, call } from './client.ts';
import { createJudge, type OpenApiDocument } from './openapi-document.ts';
import {
  emptyDirectory,
  outputWith,
  type ParleyProcess,
  removeParley,
  runParley,
  startParley,
} from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'admin' };
const ADA = { authorization: 'Bearer key-of-ada' };

let parley: ParleyProcess;
let adminUrl: string;
before(async () => {
  parley = await startParley({ ADMIN_PORT: '0', ADMIN_TOKEN: 'admin', API_KEYS: 'ada:key-of-ada' });
  adminUrl = await adminUrlOf(parley);
});
after(() => removeParley(parley));

/** As the greeting says it. */
async function adminUrlOf(started: ParleyProcess): Promise<string> {
  await outputWith(started, (output) => output.includes('Try it:'));
  const url = /^ +admin +(\S+)\/docs$/m.exec(started.output())?.[1];
  assert.ok(url, started.output());
  return url;
}

const code = ({ status, body }: Answer) => [status, body?.error?.code];

async function documentOf(url: string): Promise<OpenApiDocument> {
  return (await call(url, 'GET', '/openapi.json')).body;
}

const operationsOf = ({ paths }: OpenApiDocument) =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );

test('the administration is at its own port, and what it changes holds at the other', async () => {
  assert.notEqual(new URL(adminUrl).port, new URL(parley.url).port);
  const made = await call(adminUrl, 'POST', '/admin/clients', { name: 'shop' }, ADMIN);
  assert.equal(made.status, 201);
  const judge = createJudge(await documentOf(adminUrl));
  assert.deepEqual(judge('POST', '/admin/clients', made), []);
  const shop = { authorization: `Bearer ${made.body.key.key}` };
  assert.equal((await call(parley.url, 'GET', '/sessions', undefined, shop)).status, 200);
  assert.deepEqual(code(await call(adminUrl, 'GET', '/admin/clients')), [401, 'missing_admin_token']);
});

test('at the main port /admin is a path like any that is not there', async () => {
  for (const path of ['/admin/clients', '/admin/bypass', '/admin/audit', '/admin']) {
    for (const headers of [ADMIN, { ...ADMIN, ...ADA }]) {
      const administration = await call(parley.url, 'GET', path, undefined, headers);
      const nothing = await call(parley.url, 'GET', '/nothing', undefined, headers);
      assert.deepEqual(code(administration), code(nothing), path);
    }
  }
  assert.deepEqual(code(await call(parley.url, 'POST', '/admin/clients', {}, { ...ADMIN, ...ADA })), [
    404,
    'route_not_found',
  ]);
});

test('the port of the administration has no API, whatever key is sent', async () => {
  for (const [method, path] of [
    ['GET', '/sessions'],
    ['POST', '/sessions'],
    ['GET', '/providers'],
    ['GET', '/ready'],
    ['GET', '/metrics'],
    ['GET', '/nothing'],
  ] as const) {
    assert.deepEqual(
      code(await call(adminUrl, method, path, undefined, ADMIN)),
      [404, 'route_not_found'],
      path,
    );
    // Nobody learns without the token what is there.
    for (const headers of [{}, ADA]) {
      const answer = await call(adminUrl, method, path, undefined, headers);
      assert.deepEqual(code(answer), [401, 'missing_admin_token'], path);
    }
  }
  const other = await call(adminUrl, 'PUT', '/admin/clients', undefined, ADMIN);
  assert.deepEqual(code(other), [405, 'method_not_allowed']);
  assert.equal((await call(adminUrl, 'GET', '/health')).body.status, 'ok');
});

test('each port documents what it serves, and no tag without an operation', async () => {
  const [main, admin] = [await documentOf(parley.url), await documentOf(adminUrl)];
  assert.ok(operationsOf(admin).length > 5);
  assert.ok(operationsOf(admin).every((name) => name.includes(' /admin/') || name === 'GET /health'));
  assert.ok(operationsOf(main).includes('POST /sessions'));
  assert.ok(operationsOf(main).every((name) => !name.includes(' /admin/')));
  for (const document of [main, admin]) {
    const used = Object.values(document.paths).flatMap((one) =>
      Object.values(one).flatMap(({ tags }) => tags ?? []),
    );
    const declared = (document['tags'] as { name: string }[]).map(({ name }) => name);
    assert.deepEqual([...new Set(used)].toSorted(), declared.toSorted());
  }
  const page = await call(adminUrl, 'GET', '/docs/');
  assert.match(page.headers.get('content-security-policy') ?? '', /script-src 'self' 'sha256-/);
});

test('what holds for every request holds there: ids, headers, limits, the log, and no CORS', async (context) => {
  const limited = await startParley({
    ADMIN_PORT: '0',
    ADMIN_TOKEN: 'admin',
    CORS_ORIGINS: '*',
    RATE_RPS: '0.001',
    RATE_BURST: '3',
  });
  context.after(() => removeParley(limited));
  const url = await adminUrlOf(limited);
  const answer = await call(url, 'GET', '/admin/bypass', undefined, { ...ADMIN, 'x-request-id': 'admin-1' });
  assert.equal(answer.headers.get('x-request-id'), 'admin-1');
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.match(answer.headers.get('server-timing') ?? '', /^parley;dur=/);
  assert.equal(answer.headers.get('access-control-allow-origin'), null);
  await outputWith(limited, (output) => output.includes('"request_id":"admin-1"'));
  // Tokens cannot be tried out, and what is tried here takes nothing from those who use the API.
  const wrong = { 'x-admin-token': 'wrong' };
  const tried: unknown[] = [];
  for (let tries = 0; tries < 4; tries += 1) {
    tried.push((await call(url, 'GET', tries === 0 ? '/nothing' : '/admin/bypass', undefined, wrong)).status);
  }
  assert.deepEqual(tried, [401, 401, 401, 429]);
  assert.equal((await call(limited.url, 'GET', '/sessions')).status, 200);
});

test('both end together', async (context) => {
  const ending = await startParley({ ADMIN_PORT: '0' });
  context.after(() => removeParley(ending));
  const url = await adminUrlOf(ending);
  // Without a token it says so, where it is.
  assert.deepEqual(code(await call(url, 'GET', '/admin/clients')), [503, 'admin_disabled']);
  assert.equal(await ending.stop(), 0);
  await assert.rejects(call(url, 'GET', '/health'));
});

test('it can listen elsewhere than the API', async (context) => {
  const apart = await startParley({ ADMIN_PORT: '0', ADMIN_HOST: '127.0.0.2' });
  context.after(() => removeParley(apart));
  const url = new URL(await adminUrlOf(apart));
  assert.equal(url.hostname, '127.0.0.2');
  assert.equal((await call(url.origin, 'GET', '/health')).status, 200);
  await assert.rejects(call(`http://127.0.0.1:${url.port}`, 'GET', '/health'));
});

test('a port that is taken, or that of the API, ends the start', async (context) => {
  const directory = await emptyDirectory();
  context.after(() => rm(directory, { recursive: true, force: true }));
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  context.after(() => blocker.close());
  const { port } = blocker.address() as { port: number };
  const taken = await runParley(directory, { PORT: '0', ADMIN_PORT: String(port) });
  assert.equal(taken.code, 1);
  assert.match(taken.output, new RegExp(`could not start: .*address already in use.*:${port}`));
  const same = await runParley(directory, { PORT: String(port), ADMIN_PORT: String(port) });
  assert.equal(same.code, 78);
  assert.match(same.output, /ADMIN_PORT \(environment\): .*PORT/);
});
