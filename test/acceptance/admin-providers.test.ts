/** Providers in the hands of an operator: taken out of service, put back, their failures forgotten. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type Answer, call, newSession, send } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';
import { createGate } from './parley-with-double.ts';

const ADMIN = { 'x-admin-token': 'admin-token-1' };

let doubles: ProviderDouble[];
let parley: ParleyProcess;

before(async () => {
  doubles = [await startProviderDouble(), await startProviderDouble()];
  const providers = doubles.map(({ url }, index) => ({
    name: ['first', 'second'][index],
    base_url: url,
    model: `m-${index + 1}`,
  }));
  const settings = { ADMIN_TOKEN: 'admin-token-1', FALLBACK_PROVIDERS: 'second' };
  parley = await startParleyWithYaml({ providers }, settings);
});
after(async () => {
  await removeParley(parley);
  await Promise.all(doubles.map((double) => double.close()));
});
beforeEach(async () => {
  for (const double of doubles) double.reset();
  for (const name of ['first', 'second']) {
    await admin('POST', `/admin/providers/${name}/start`);
    await admin('POST', `/admin/providers/${name}/reset`);
  }
});

const admin = (method: string, path: string, body?: unknown): Promise<Answer> =>
  call(parley.url, method, path, body, ADMIN);

async function providerOf(list: string, name: string): Promise<any> {
  const { body } = await admin('GET', list);
  return body.data.find((provider: { name: string }) => provider.name === name);
}

const answeredBy = ({ body }: Answer) => [body.provider, body.provider_source];

test('a provider that is stopped is not asked from then on, until it is put back', async () => {
  const from = Date.now();
  const stopped = await admin('POST', '/admin/providers/first/stop', { note: 'wrong answers' });
  assert.equal(stopped.status, 200);
  const { in_service: inService, stopped_at: stoppedAt, note } = stopped.body;
  assert.deepEqual([inService, note], [false, 'wrong answers']);
  assert.ok(Date.parse(stoppedAt) >= from && Date.parse(stoppedAt) <= Date.now());
  assert.deepEqual(await providerOf('/admin/providers', 'first'), stopped.body);
  assert.equal((await providerOf('/admin/providers', 'second')).in_service, true);

  // What clients see is that it is out, and not what the operator says of it.
  const shown = await providerOf('/providers', 'first');
  assert.deepEqual([shown.in_service, 'note' in shown], [false, false]);
  const id = await newSession(parley.url);
  assert.deepEqual(answeredBy(await send(parley.url, id, 'Hello')), ['second', 'fallback']);
  assert.deepEqual(answeredBy(await send(parley.url, id, 'Hello', { provider: 'first' })), [
    'second',
    'fallback',
  ]);
  assert.equal(doubles[0]!.requests.length, 0);

  const started = await admin('POST', '/admin/providers/FIRST/start');
  assert.deepEqual([started.body.in_service, started.body.stopped_at, started.body.note], [true, null, null]);
  assert.deepEqual(answeredBy(await send(parley.url, await newSession(parley.url), 'Hello')), [
    'first',
    'default',
  ]);
});

test('a session does not stay with a provider that is stopped', async () => {
  const id = await newSession(parley.url);
  assert.deepEqual(answeredBy(await send(parley.url, id, 'Hello')), ['first', 'default']);
  await admin('POST', '/admin/providers/first/stop');
  assert.deepEqual(answeredBy(await send(parley.url, id, 'Again')), ['second', 'fallback']);
});

test('a turn that runs is not broken off', async () => {
  const id = await newSession(parley.url);
  const gate = createGate();
  doubles[0]!.respond({ waitBefore: gate.opened });
  const running = send(parley.url, id, 'Hello');
  await doubles[0]!.arrived(1);
  await admin('POST', '/admin/providers/first/stop');
  gate.open();
  assert.deepEqual(answeredBy(await running), ['first', 'default']);
});

test('where nobody is left the turn fails, and the server is not ready', async () => {
  await admin('POST', '/admin/providers/first/stop');
  assert.equal((await call(parley.url, 'GET', '/ready')).status, 200);
  await admin('POST', '/admin/providers/second/stop');
  const id = await newSession(parley.url, { provider: 'first' });
  const { status, body } = await send(parley.url, id, 'Hello');
  assert.deepEqual([status, body.error.code], [503, 'provider_out_of_service']);
  assert.deepEqual([body.error.details.provider, body.error.details.attempts], ['first', []]);
  const [turn] = (await call(parley.url, 'GET', `/sessions/${id}/turns`)).body.data;
  assert.deepEqual([turn.status, turn.error.code], ['failed', 'provider_out_of_service']);
  assert.equal((await call(parley.url, 'GET', `/sessions/${id}/window`)).status, 200);

  const ready = await call(parley.url, 'GET', '/ready');
  assert.equal(ready.status, 503);
  assert.equal(ready.body.checks.providers.status, 'unavailable');
  for (const target of ready.body.checks.providers.targets) assert.equal(target.in_service, false);
  const { body: text } = await call(parley.url, 'GET', '/metrics', undefined, { accept: 'text/plain' });
  for (const name of ['first', 'second']) {
    assert.match(text, new RegExp(`^parley_provider_in_service\\{gen_ai_provider_name="${name}"\\} 0$`, 'm'));
  }

  await admin('POST', '/admin/providers/second/start');
  assert.equal((await call(parley.url, 'GET', '/ready')).status, 200);
  assert.deepEqual(answeredBy(await send(parley.url, id, 'Hello')), ['second', 'fallback']);
});

test('it is out of service after a restart as well, and the log says so', async () => {
  await admin('POST', '/admin/providers/first/stop', { note: 'until Monday' });
  const before = await providerOf('/admin/providers', 'first');
  await parley.stop('SIGKILL');
  parley = await parley.restart();
  const { since: _, ...target } = before.targets[0];
  const now = await providerOf('/admin/providers', 'first');
  assert.deepEqual([now.stopped_at, now.note, now.in_service], [before.stopped_at, 'until Monday', false]);
  assert.equal(now.targets[0].model, target.model);
  const line = parley.logLines().find(({ msg }) => msg === 'out of service until an operator puts it back');
  assert.deepEqual([line?.['provider'], line?.['note'], line?.['level']], ['first', 'until Monday', 40]);
  assert.deepEqual(answeredBy(await send(parley.url, await newSession(parley.url), 'Hello')), [
    'second',
    'fallback',
  ]);
});

test('a breaker is reset by the provider and by the model', async () => {
  const stateOf = async (model: string) =>
    (await providerOf('/admin/providers', 'first')).targets.find((one: any) => one.model === model)?.state;
  const openBoth = async () => {
    for (const model of ['m-1', 'm-other']) {
      doubles[0]!.respond({ status: 401 });
      await send(parley.url, await newSession(parley.url, { fallback_providers: [] }), 'Hello', {
        provider: 'first',
        model,
      });
    }
    doubles[0]!.reset();
  };
  await openBoth();
  assert.deepEqual([await stateOf('m-1'), await stateOf('m-other')], ['open', 'open']);
  const reset = await admin('POST', '/admin/providers/first/reset', { model: 'm-1' });
  assert.equal(reset.status, 200);
  assert.deepEqual([await stateOf('m-1'), await stateOf('m-other')], ['closed', 'open']);
  await admin('POST', '/admin/providers/first/reset');
  assert.equal(await stateOf('m-other'), 'closed');
  // Whether it is in service is another matter.
  await admin('POST', '/admin/providers/first/stop');
  assert.equal((await admin('POST', '/admin/providers/first/reset', {})).body.in_service, false);
});

test('a provider that is not there is said to be so, and wrong bodies are refused', async () => {
  for (const verb of ['stop', 'start', 'reset']) {
    const missing = await admin('POST', `/admin/providers/nobody/${verb}`);
    assert.deepEqual([missing.status, missing.body.error.code], [400, 'provider_not_found']);
    const wrong = await admin('POST', `/admin/providers/first/${verb}`, { reason: 'x' });
    assert.deepEqual([wrong.status, wrong.body.error.code], [400, 'invalid_request']);
    const unknown = await call(parley.url, 'POST', `/admin/providers/first/${verb}`);
    assert.equal(unknown.status, 401);
  }
  assert.equal((await providerOf('/admin/providers', 'first')).in_service, true);
});

test('each change is one entry in the log of changes, and one line in the log, with the id of its request', async () => {
  const note = `note ${Date.now()}`;
  const requests = [
    await admin('POST', '/admin/providers/second/stop', { note }),
    await admin('POST', '/admin/providers/second/start'),
    // Nothing changes by this one.
    await admin('POST', '/admin/providers/second/start'),
    await admin('POST', '/admin/bypass', { ip: '10.9.8.7', note }),
    await admin('DELETE', '/admin/bypass/10.9.8.7'),
    await admin('DELETE', '/admin/bypass/10.9.8.7'),
    await admin('POST', '/admin/clients', { name: note }),
  ];
  const ids = requests.map(({ headers }) => headers.get('x-request-id') ?? '');
  await outputWith(parley, () =>
    ids.every((id) =>
      parley.logLines().some((line) => line['msg'] === 'request' && line['request_id'] === id),
    ),
  );
  const lines = parley
    .logLines()
    .filter(({ msg, request_id: id }) => msg === 'audit' && ids.includes(String(id)));
  assert.deepEqual(
    lines.map(({ action, request_id: id }) => [action, ids.indexOf(String(id))]),
    [
      ['provider.stop', 0],
      ['provider.start', 1],
      ['bypass.add', 3],
      ['bypass.remove', 4],
      ['client.create', 6],
      ['key.create', 6],
    ],
  );
  assert.deepEqual(lines[0]?.['details'], { note });
  const { body: audit } = await admin('GET', `/admin/audit?limit=${lines.length}`);
  const recorded = audit.data.toReversed();
  assert.deepEqual(
    lines.map(({ audit_id: id, action, subject, details }) => ({ id, action, subject, details })),
    recorded.map(({ id, action, subject, details }: any) => ({ id, action, subject, details })),
  );
  assert.doesNotMatch(parley.output(), /pk_/);
});
