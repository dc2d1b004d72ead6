/** Request ids: the caller's own where it is sane, in the answer, in every error and in every line of the log. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { readEvents } from './client.ts';
import { outputWith } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { openConnection, sendBytes, sendRequest } from './raw-http.ts';

const MADE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const named = (id: string) => ({ headers: { 'x-request-id': id, 'content-type': 'application/json' } });

/** The messages of the log's lines with the id, as soon as there are so many. */
async function linesOf(id: string, count: number): Promise<string[]> {
  const lines = () => server.parley.logLines().filter((line) => line['request_id'] === id);
  await outputWith(server.parley, () => lines().length >= count);
  return lines().map(({ msg }) => String(msg));
}

test("the caller's id is in the answer, in errors, and in the lines of the request and of its turn", async () => {
  const sessionId = await server.newSession();
  const path = `/sessions/${sessionId}/messages`;
  const answered = await server.callRaw('POST', path, {
    ...named('call-1.a_B'),
    body: '{"content": "Hello"}',
  });
  assert.equal(answered.headers.get('x-request-id'), 'call-1.a_B');
  assert.deepEqual((await linesOf('call-1.a_B', 2)).toSorted(), ['request', 'turn']);

  // That body and header agree is what every answer of these tests is judged by.
  const refused = await server.callRaw('GET', '/nowhere', named('call-2'));
  assert.equal(refused.body.request_id, 'call-2');
  assert.deepEqual(await linesOf('call-2', 1), ['request']);
});

test('streams carry it, and the errors in them', async () => {
  server.double.respond({ text: ['The '], error: { message: 'gone', code: 500 } });
  const sessionId = await server.newSession();
  const answer = await server.callRaw('POST', `/sessions/${sessionId}/messages`, {
    ...named('call-3'),
    body: '{"content": "Hello", "stream": true}',
  });
  assert.equal(answer.headers.get('x-request-id'), 'call-3');
  const failed = readEvents(answer.body).at(-1);
  assert.deepEqual([failed?.event, failed?.data.request_id], ['turn.failed', 'call-3']);
});

test('an id that is not sane is replaced, whole', async () => {
  for (const id of [
    'x'.repeat(129),
    'two words',
    'a\tb',
    'a"b',
    '<script>',
    'id;drop',
    'ä',
    'a, b',
    '%41',
    '',
  ]) {
    const { status, headers } = await sendRequest(server.url, 'GET /health', `X-Request-ID: ${id}\r\n`);
    assert.equal(status, 200);
    assert.match(headers.get('x-request-id') ?? '', MADE, id);
  }
  const twice = await sendRequest(server.url, 'GET /health', 'X-Request-ID: a\r\nX-Request-ID: b\r\n');
  assert.match(twice.headers.get('x-request-id') ?? '', MADE);
});

test('a path that cannot be read has its id and its line as well', async () => {
  const { body } = await server.callRaw('GET', '/sessions/%zz', named('call-4'));
  assert.equal(body.request_id, 'call-4');
  assert.deepEqual(await linesOf('call-4', 1), ['request']);
});

test('what is no request has an id of its own', async () => {
  const { headers, body } = await sendBytes(server.url, 'X-Request-ID: mine\r\n\r\n');
  assert.equal(body.error.code, 'invalid_request');
  assert.match(body.request_id, MADE);
  assert.equal(headers.get('x-request-id'), body.request_id);
});

test('a body that turns out not to be HTTP is answered under the id of its request', async () => {
  const connection = openConnection(server.url);
  connection.write(
    'POST /sessions HTTP/1.1\r\nHost: x\r\nX-Request-ID: call-5\r\nContent-Type: application/json\r\n' +
      'Transfer-Encoding: chunked\r\n\r\nno length\r\n',
  );
  const text = await connection.ended;
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.match(text, /"request_id":"call-5"/);
  assert.deepEqual(await linesOf('call-5', 1), ['request']);
  const line = server.parley.logLines().find((one) => one['request_id'] === 'call-5');
  assert.deepEqual([line?.['status'], line?.['code']], [400, 'invalid_request']);
});

test('garbage after a request is answered after it, not in its place', async () => {
  const held = Promise.withResolvers<void>();
  server.double.respondOnce({ text: 'late', waitBefore: held.promise });
  const sessionId = await server.newSession();
  const connection = openConnection(server.url);
  const body = '{"content": "Hello"}';
  connection.write(
    `POST /sessions/${sessionId}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  await server.double.arrived(1);
  connection.write('what is this\r\n\r\n');
  // Answered on another connection: the server has read what came before.
  await server.call('GET', '/health');
  held.resolve();
  const text = await connection.ended;
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  assert.deepEqual(statuses, ['200', '400']);
  assert.match(text, /"content":"late"/);
});
