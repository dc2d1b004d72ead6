/** Readiness and the health of targets, as load balancers and operators read them. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, newSession, send } from './client.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());

async function targets(): Promise<any[]> {
  const { body } = await server.call('GET', '/providers');
  return body.data[0].targets;
}

test('a server that was asked nothing yet is ready', async () => {
  const { status, body } = await server.call('GET', '/ready');
  assert.equal(status, 200);
  assert.deepEqual([body.status, body.checks.store], ['ready', { status: 'ok' }]);
  assert.equal(body.checks.providers.status, 'ok');
  assert.ok(body.checks.providers.targets.every(({ state }: { state: string }) => state === 'closed'));
});

test('it is not while every target is out of service, and says which', async () => {
  const id = await server.newSession();
  await server.converse(id, 'Hello');
  assert.deepEqual(
    (await targets()).map(({ model, state, until }) => [model, state, until]),
    [['double-model', 'closed', null]],
  );
  // A key that is refused does not get better by trying.
  server.double.respond({ status: 401 });
  assert.equal((await server.send(id, 'Hello')).status, 502);
  const { status, body } = await call(server.url, 'GET', '/ready');
  assert.equal(status, 503);
  assert.deepEqual([body.status, body.checks.store.status], ['unavailable', 'ok']);
  assert.equal(body.checks.providers.status, 'unavailable');
  const [target] = body.checks.providers.targets;
  assert.deepEqual([target.provider, target.model, target.state], ['openai', 'double-model', 'open']);
  assert.ok(target.until > target.since);
  assert.equal((await targets())[0].state, 'open');
  assert.equal((await server.call('GET', '/health')).status, 200, 'it lives all the same');

  server.double.reset();
  await send(server.url, id, 'Hello', { model: 'another' });
  assert.equal((await server.call('GET', '/ready')).status, 200);
});

test('it is not while it stops', async () => {
  const stopping = await startParleyWithDouble();
  try {
    const id = await newSession(stopping.url);
    const gate = createGate();
    stopping.double.respond({ waitBefore: gate.opened });
    const running = send(stopping.url, id, 'Hello');
    await stopping.double.arrived(1);
    stopping.parley.process.kill('SIGTERM');
    let status = 200;
    while (status === 200) ({ status } = await call(stopping.url, 'GET', '/ready'));
    assert.equal(status, 503);
    gate.open();
    assert.equal((await running).status, 200);
  } finally {
    await stopping.close();
  }
});
