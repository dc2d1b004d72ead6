import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';
import { openStore } from '../stores/open-store.ts';
import { createProviderOperations } from './provider-operations.ts';

const PAGE = { limit: 100, after: null, order: 'asc' } as const;

/** Operations on a store in memory, with breakers that write down what they are told. */
async function setUp(context: TestContext) {
  const store = await openStore('memory:');
  context.after(() => store.close());
  const told: (string | null)[][] = [];
  const breakers = {
    reset: (provider: string, model: string | null) => void told.push([provider, model]),
  };
  const open = (adminStore: AdminStore = store.admin) => createProviderOperations({ adminStore, breakers });
  const changes = async () =>
    (await store.admin.listAudit(PAGE)).data.map(({ action, subject, details }) => [
      action,
      subject,
      details,
    ]);
  return { open, told, changes, admin: store.admin };
}

test('a provider is out of service from its stop to its start, also for a server that starts in between', async (context) => {
  const { open, changes } = await setUp(context);
  const operations = await open();
  assert.deepEqual([operations.isInService('openai'), operations.stopped('openai')], [true, null]);
  const from = Date.now();
  await operations.stop('openai', 'wrong answers');
  await operations.stop('demo');
  const stopped = operations.stopped('openai');
  assert.ok(stopped !== null && stopped.stoppedAt >= from && stopped.stoppedAt <= Date.now());
  assert.deepEqual([stopped.provider, stopped.note], ['openai', 'wrong answers']);
  assert.equal(operations.isInService('openai'), false);
  assert.equal(operations.isInService('openrouter'), true);

  const restarted = await open();
  assert.deepEqual(restarted.stopped('openai'), stopped);
  const names = [operations, restarted].map((one) => one.allStopped().map(({ provider }) => provider));
  assert.deepEqual(names, [
    ['demo', 'openai'],
    ['demo', 'openai'],
  ]);

  await restarted.start('openai');
  assert.equal(restarted.isInService('openai'), true);
  assert.equal((await open()).isInService('openai'), true);
  assert.deepEqual(await changes(), [
    ['provider.stop', 'openai', { note: 'wrong answers' }],
    ['provider.stop', 'demo', { note: null }],
    ['provider.start', 'openai', {}],
  ]);
});

test('one that is out already stays so since when it was, and its note changes if there is another', async (context) => {
  const { open } = await setUp(context);
  const operations = await open();
  context.mock.timers.enable({ apis: ['Date'], now: 1000 });
  await operations.stop('openai', 'first');
  context.mock.timers.tick(500);
  await operations.stop('openai');
  assert.deepEqual(operations.stopped('openai'), { provider: 'openai', note: 'first', stoppedAt: 1000 });
  await operations.stop('openai', 'second');
  assert.deepEqual(operations.stopped('openai'), { provider: 'openai', note: 'second', stoppedAt: 1000 });
  await operations.stop('openai', null);
  assert.equal(operations.stopped('openai')?.note, null);
});

test('putting back what is in service is no change', async (context) => {
  const { open, changes } = await setUp(context);
  await (await open()).start('openai');
  assert.deepEqual(await changes(), []);
});

test('a reset is in the log', async (context) => {
  const { open, told, changes } = await setUp(context);
  const operations = await open();
  await operations.reset('openai', 'gpt');
  await operations.reset('openai', null);
  assert.deepEqual(told, [
    ['openai', 'gpt'],
    ['openai', null],
  ]);
  assert.deepEqual(await changes(), [
    ['provider.reset', 'openai', { model: 'gpt' }],
    ['provider.reset', 'openai', { model: null }],
  ]);
});

test('a reset at another server is repeated here, and one of this server is not', async (context) => {
  const { open, told, admin } = await setUp(context);
  const operations = await open();
  await operations.reset('openai', 'gpt');
  const entries = async () => (await admin.listAudit({ limit: 10, after: null, order: 'asc' })).data;
  operations.repeat(await entries());
  assert.deepEqual(told, [['openai', 'gpt']]);
  const other = await open();
  await other.reset('openai', null);
  await other.stop('openai');
  told.length = 0;
  operations.repeat((await entries()).slice(1));
  assert.deepEqual(told, [['openai', null]]);
});

test('a change that could not be stored does not hold', async (context) => {
  const { open, told, admin } = await setUp(context);
  const fail = () => Promise.reject(new AppError('store_unavailable'));
  const failing = { saveStoppedProvider: fail, deleteStoppedProvider: fail, saveAudit: fail };
  const isOut = (error: unknown) => error instanceof AppError && error.code === 'store_unavailable';
  const fresh = await open({ ...admin, ...failing });
  await assert.rejects(fresh.stop('openai'), isOut);
  assert.equal(fresh.isInService('openai'), true);
  await assert.rejects(fresh.reset('openai', null), isOut);
  assert.deepEqual(told, []);
  await (await open()).stop('openai');
  const stopped = await open({ ...admin, ...failing });
  await assert.rejects(stopped.start('openai'), isOut);
  assert.equal(stopped.isInService('openai'), false);
});
