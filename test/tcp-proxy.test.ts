/** The wire of the tests keeps the order of what goes over it, whatever becomes of its delay. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { startTcpProxy } from './tcp-proxy.ts';

test('what was delayed is not overtaken by what comes when there is no delay any more', async (context) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startTcpProxy((server.address() as AddressInfo).port);
  const client = connect(proxy.port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  context.after(async () => {
    await proxy.close();
    server.close();
  });
  proxy.delay(100);
  const delayed = proxy.untilHeld();
  client.write('first, ');
  await delayed;
  proxy.delay(0);
  client.write('then the second.');
  let heard = '';
  for await (const bytes of socket) {
    heard += String(bytes);
    if (heard.length === 'first, then the second.'.length) break;
  }
  assert.equal(heard, 'first, then the second.');
});
