import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { FastifyReply } from 'fastify';
import { leaving, onAbort } from './disconnect.ts';

/** A server that has been asked once, and does nothing yet. */
async function asked(context: TestContext) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = request({ port, host: '127.0.0.1', agent: false }).on('error', () => undefined);
  client.end();
  const [, raw] = (await once(server, 'request')) as [unknown, ServerResponse];
  return { client, raw, reply: { raw } as FastifyReply };
}

test('a client that leaves before its answer aborts the signal', async (context) => {
  const { client, reply } = await asked(context);
  const signal = leaving(reply);
  assert.equal(signal.aborted, false);
  client.destroy();
  await once(signal, 'abort');
});

test('a client that leaves in the middle of its answer aborts it as well', async (context) => {
  const { client, raw, reply } = await asked(context);
  const signal = leaving(reply);
  raw.write('half');
  await once(client, 'response');
  client.destroy();
  await once(signal, 'abort');
});

test('one that had left before anybody watched has left', async (context) => {
  const { client, raw, reply } = await asked(context);
  client.destroy();
  await once(raw, 'close');
  assert.equal(leaving(reply).aborted, true);
});

test('one that has read its whole answer has not left', async (context) => {
  const { client, raw, reply } = await asked(context);
  const signal = leaving(reply);
  const closed = once(raw, 'close');
  client.on('response', (response) => response.resume());
  raw.end('whole');
  await closed;
  assert.equal(signal.aborted, false);
});

test('the callback comes once, also for what has aborted already', () => {
  const gone = new AbortController();
  let calls = 0;
  const count = () => {
    calls += 1;
  };
  onAbort(gone.signal, count);
  assert.equal(calls, 0);
  gone.abort();
  assert.equal(calls, 1);
  onAbort(gone.signal, count);
  assert.equal(calls, 2);
});
