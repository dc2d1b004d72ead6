import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { createConnector, isConnectTimeout } from './connector.ts';

test('what takes too long fails, and fails once, and its socket is closed', async (t) => {
  // Takes connections and never agrees on encryption.
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const failures: (Error | null)[] = [];
  const { promise: failed, resolve } = Promise.withResolvers<void>();
  createConnector(20)({ hostname: '127.0.0.1', protocol: 'https:', port: String(port) }, (...result) => {
    failures.push(result[0]);
    resolve();
  });
  const [socket] = await accepted;
  const closed = once(socket, 'close');
  await failed;
  await closed;
  assert.deepEqual(failures.map(isConnectTimeout), [true]);
});

test('what is made in time is given as it is', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { promise: made, resolve } = Promise.withResolvers<[Error | null, Socket | null]>();
  createConnector(600_000)({ hostname: '127.0.0.1', protocol: 'http:', port: String(port) }, (...result) => {
    resolve(result);
  });
  const [error, socket] = await made;
  assert.equal(error, null);
  assert.equal(socket?.remotePort, port);
  socket.destroy();
});
