/** What the server takes of connections and heads: slow senders, too many connections, too many or too long headers. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startProviderDouble } from '../provider-double.ts';
import { call, newSession, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { type Connection, openConnection, parseAnswer, sendRequest } from './raw-http.ts';

async function start(context: TestContext, env: Record<string, string>): Promise<ParleyProcess> {
  const parley = await startParley({ DATABASE_URL: 'memory:', ...env });
  context.after(() => removeParley(parley));
  return parley;
}

function connect(context: TestContext, url: string): Connection {
  const connection = openConnection(url);
  context.after(() => connection.leave());
  return connection;
}

/** Sends a byte of the text now and then until the connection is ended, and resolves with what was answered. */
async function trickle(connection: Connection, text: string): Promise<string> {
  let sent = 0;
  const timer = setInterval(() => connection.write(text[sent++ % text.length] ?? ''), 20);
  try {
    return await connection.ended;
  } finally {
    clearInterval(timer);
  }
}

const HEAD =
  'POST /sessions HTTP/1.1\r\nHost: x\r\nX-Request-ID: slow-1\r\nContent-Type: application/json\r\n';

test('who sends too slowly is answered 408 and cut off, and others are served meanwhile', async (context) => {
  const { url, ...parley } = await start(context, { REQUEST_TIMEOUT_SECONDS: '0.3' });
  const slow = {
    'in the head': trickle(connect(context, url), `${HEAD}${'X-Filler: x\r\n'.repeat(1000)}`),
    'in the body': (() => {
      const connection = connect(context, url);
      connection.write(`${HEAD}Content-Length: 100000\r\n\r\n{`);
      return trickle(connection, ' ');
    })(),
    'in a piece of the body': (() => {
      const connection = connect(context, url);
      connection.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\nffff\r\n{`);
      return trickle(connection, ' ');
    })(),
  };
  let over = false;
  const all = Promise.all(Object.values(slow)).then(() => {
    over = true;
  });
  let served = 0;
  while (!over) {
    assert.equal((await call(url, 'POST', '/sessions', {})).status, 201);
    served += 1;
  }
  await all;
  assert.ok(served > 2);
  for (const [name, text] of Object.entries(slow)) {
    const { status, headers, body } = parseAnswer(await text);
    assert.deepEqual([status, body.error.code], [408, 'request_timeout'], name);
    assert.equal(headers.get('connection'), 'close');
    assert.equal(headers.get('x-request-id'), body.request_id);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    // Where there was a head there is a request, with its id and its line in the log.
    if (name !== 'in the head') assert.equal(body.request_id, 'slow-1', name);
  }
  const logged = () => parley.logLines().filter((line) => line['request_id'] === 'slow-1');
  await outputWith({ url, ...parley }, () => logged().length === 2);
  for (const { status, code } of logged()) assert.deepEqual([status, code], [408, 'request_timeout']);
});

test('who writes on before reading what was answered still finds it', async (context) => {
  const { url } = await start(context, { REQUEST_TIMEOUT_SECONDS: '0.2' });
  for (const head of [HEAD, `${HEAD}Content-Length: 100000\r\n\r\n{`]) {
    const connection = connect(context, url);
    connection.write(head);
    connection.hold(true);
    const writing = setInterval(() => connection.write('x'), 5);
    await setTimeout(500);
    clearInterval(writing);
    connection.hold(false);
    assert.match(await connection.ended, /^HTTP\/1\.1 408 /);
  }
});

test('who sends nothing is not told anything, and who was answered before is not told twice', async (context) => {
  const { url } = await start(context, { REQUEST_TIMEOUT_SECONDS: '0.2', API_KEYS: 'ada:key-of-ada' });
  assert.equal(await connect(context, url).ended, '');
  // Refused by its head, before its body was there.
  const refused = connect(context, url);
  refused.write(`${HEAD}Content-Length: 100\r\n\r\n{`);
  const text = await refused.ended;
  assert.match(text, /^HTTP\/1\.1 401 /);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
});

test('a second request on a connection is held to the same', async (context) => {
  const { url } = await start(context, { REQUEST_TIMEOUT_SECONDS: '0.2' });
  for (const [second, status] of [
    ['GET /health HTTP/1.1\r\nHost:', 408],
    ['what is this\r\n\r\n', 400],
  ] as const) {
    const connection = connect(context, url);
    connection.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
    await connection.received('"status":"ok"');
    connection.write(second);
    const statuses = [...(await connection.ended).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, one]) =>
      Number(one),
    );
    assert.deepEqual(statuses, [200, status]);
  }
});

test('the time is for sending alone: answers and streams take as long as they do', async (context) => {
  const double = await startProviderDouble();
  context.after(() => double.close());
  const { url } = await start(context, { OPENAI_BASE_URL: double.url, REQUEST_TIMEOUT_SECONDS: '0.1' });
  const [whole, streamed] = [await newSession(url), await newSession(url)];
  const held = Promise.withResolvers<void>();
  double.respondOnce({ text: 'late', waitBefore: held.promise });
  double.respondOnce({ text: ['One', 'Two'], waitAt: { piece: 2, wait: held.promise } });
  const answered = send(url, whole, 'Hello');
  await double.arrived(1);
  const stream = send(url, streamed, 'Hello', { stream: true });
  await double.arrived(2);
  // Somebody who began after them is too slow by now; whoever is looked at by the same clock was as well.
  for (let turn = 0; turn < 3; turn += 1) {
    const late = connect(context, url);
    late.write('GET /health HTTP/1.1\r\n');
    assert.match(await late.ended, /^HTTP\/1\.1 408 /);
  }
  held.resolve();
  assert.equal((await answered).body.message.content, 'late');
  const { status, body } = await stream;
  assert.equal(status, 200);
  assert.match(body, /event: turn\.completed/);
});

test('more connections than CONNECTIONS_MAX are closed, and taken again when others have gone', async (context) => {
  const parley = await start(context, { CONNECTIONS_MAX: '2' });
  const { url } = parley;
  const request = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
  const open = [connect(context, url), connect(context, url)];
  for (const connection of open) {
    connection.write(request);
    await connection.received('"status":"ok"');
  }
  for (let more = 0; more < 3; more += 1) {
    const refused = connect(context, url);
    refused.write(request);
    assert.equal(await refused.ended, '');
  }
  await outputWith(parley, (output) => output.includes('CONNECTIONS_MAX'));
  // Said once, however many there are.
  assert.equal(parley.output().split('CONNECTIONS_MAX').length, 2);
  const [first] = open;
  first?.write('GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await first?.ended;
  const again = connect(context, url);
  again.write(request);
  await again.received('"status":"ok"');
});

test('heads are bounded in bytes and in number, and nothing of one is left out in silence', async (context) => {
  const { url } = await start(context, { API_KEYS: 'ada:key-of-ada' });
  const filler = (count: number) => 'X-F: x\r\n'.repeat(count);
  // Host and Connection are there as well; the key comes last.
  const fits = await sendRequest(url, 'GET /sessions', `${filler(197)}X-API-Key: key-of-ada\r\n`);
  assert.equal(fits.status, 200);
  for (const headers of [filler(199), filler(1500), `X-Large: ${'x'.repeat(16 * 1024)}\r\n`]) {
    const { status, body } = await sendRequest(url, 'GET /sessions', `${headers}X-API-Key: key-of-ada\r\n`);
    assert.deepEqual([status, body.error.code], [431, 'headers_too_large']);
  }
  const long = (length: number) =>
    sendRequest(url, `GET /${'x'.repeat(length)}`, 'X-API-Key: key-of-ada\r\n');
  assert.equal((await long(15_000)).status, 404);
  assert.equal((await long(17_000)).status, 431);
});
