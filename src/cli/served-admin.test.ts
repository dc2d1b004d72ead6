import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { loadTexts } from '../../test/load-texts.ts';
import { CommandError } from './command-error.ts';
import { adminUrl, createServedAdmin } from './served-admin.ts';

test('the administration is where the server listens, as it is reached from here', () => {
  const cases: [string, string][] = [
    ['127.0.0.1', 'http://127.0.0.1:8000'],
    ['0.0.0.0', 'http://127.0.0.1:8000'],
    ['::', 'http://[::1]:8000'],
    ['::1', 'http://[::1]:8000'],
    ['parley.internal', 'http://parley.internal:8000'],
  ];
  const together = { adminHost: null, adminPort: null };
  for (const [host, expected] of cases) assert.equal(adminUrl({ ...together, host, port: 8000 }), expected);
  assert.equal(adminUrl({ ...together, host: '127.0.0.1', port: 0 }), null);
  const both = { host: '0.0.0.0', port: 8000, adminPort: 8001 };
  assert.equal(adminUrl({ ...both, adminHost: null }), 'http://127.0.0.1:8001');
  assert.equal(adminUrl({ ...both, adminHost: '10.0.0.7' }), 'http://10.0.0.7:8001');
  assert.equal(adminUrl({ ...both, adminPort: 0, adminHost: null }), null);
});

const refusal = (expected: RegExp) => (error: unknown) =>
  error instanceof CommandError && error.exitCode === 1 && expected.test(error.message);

test('what is missing is said before anybody is asked', () => {
  const without = loadTexts({ env: { PORT: '8001' } });
  assert.throws(() => createServedAdmin(without, 'A reason'), refusal(/^A reason, .*ADMIN_TOKEN/));
  const anywhere = loadTexts({ env: { PORT: '0', ADMIN_TOKEN: 't' } });
  assert.throws(() => createServedAdmin(anywhere, 'A reason'), refusal(/^A reason, .* PORT=0/));
  const apart = loadTexts({ env: { ADMIN_PORT: '0', ADMIN_TOKEN: 't' } });
  assert.throws(() => createServedAdmin(apart, 'A reason'), refusal(/^A reason, .* ADMIN_PORT=0/));
});

/** A call to a server that answers so. */
async function callOf(context: TestContext, listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  context.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return createServedAdmin(loadTexts({ env: { PORT: String(port), ADMIN_TOKEN: 'the-token' } }), 'A reason');
}

test('the token goes to the server and nowhere else', async (context) => {
  const seen: unknown[] = [];
  const elsewhere = await callOf(context, (request, response) => {
    seen.push(request.headers['x-admin-token']);
    response.writeHead(302, { location: '/other' }).end();
  });
  await assert.rejects(elsewhere('GET', '/admin/clients'), refusal(/none answers/));
  assert.deepEqual(seen, ['the-token']);
});

test('what is none of ours is told from what refuses', async (context) => {
  const cases: [number, string, RegExp][] = [
    [200, '<html>', /no Parley server/],
    [502, 'Bad Gateway', /no Parley server/],
    [404, '{"detail": "Not found"}', /no Parley server/],
    [401, '{"error": {"code": "invalid_admin_token", "message": "m"}}', /does not take this ADMIN_TOKEN/],
    [
      404,
      '{"error": {"code": "key_not_found", "message": "There is no such key."}}',
      /^There is no such key\.$/,
    ],
  ];
  for (const [status, body, expected] of cases) {
    const call = await callOf(context, (_request, response) => void response.writeHead(status).end(body));
    await assert.rejects(call('GET', '/admin/clients'), refusal(expected));
  }
  const empty = await callOf(context, (_request, response) => void response.writeHead(204).end());
  assert.equal(await empty('DELETE', '/admin/keys/k'), null);
});

test('a problem is named by the option that has it, as a misuse', async (context) => {
  const problems = [{ in: 'body', path: '/limits/burst', message: 'must be >= 1' }];
  const error = { code: 'invalid_request', message: 'm', details: { problems } };
  const call = await callOf(context, (_request, response) => {
    response.writeHead(400).end(JSON.stringify({ error }));
  });
  await assert.rejects(call('POST', '/admin/clients', {}), (thrown) => {
    return (
      thrown instanceof CommandError && thrown.exitCode === 64 && thrown.message === '--burst must be >= 1'
    );
  });
});
