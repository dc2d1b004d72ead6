import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../errors.ts';
import { openStore } from '../stores/open-store.ts';
import { observeStore, type StoreCall } from './observe-store.ts';

/** A call without its time, which is only known to be one. */
function told({ method, seconds, ok }: StoreCall): [string, boolean] {
  assert.ok(seconds >= 0 && Number.isFinite(seconds));
  return [method, ok];
}

describe('an observed store', () => {
  it('answers as the store does, with the parameters it was given', async () => {
    const calls: StoreCall[] = [];
    const parameters: unknown[] = [];
    const page = { data: [] };
    const store = observeStore(
      {
        list: async (...given: unknown[]) => {
          parameters.push(...given);
          return page;
        },
      },
      (call) => calls.push(call),
    );
    assert.equal(await store.list('owner', 2, undefined), page);
    assert.deepEqual(parameters, ['owner', 2, undefined]);
    assert.deepEqual(calls.map(told), [['list', true]]);
  });

  it('tells of a call when it is over, and not before', async () => {
    const calls: StoreCall[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const store = observeStore({ ping: () => promise }, (call) => calls.push(call));
    const answer = store.ping();
    assert.deepEqual(calls, []);
    resolve();
    await answer;
    assert.deepEqual(calls.map(told), [['ping', true]]);
  });

  it('passes errors on as they are, and tells the failures of the store from its refusals', async () => {
    const calls: StoreCall[] = [];
    const errors = [
      new AppError('store_unavailable'),
      new AppError('invalid_cursor'),
      new Error('unforeseen'),
    ];
    const store = observeStore({ read: (index: number) => Promise.reject(errors[index] as Error) }, (call) =>
      calls.push(call),
    );
    for (const [index, error] of errors.entries()) {
      await assert.rejects(store.read(index), (thrown) => thrown === error);
    }
    assert.deepEqual(calls.map(told), [
      ['read', false],
      ['read', true],
      ['read', false],
    ]);
  });

  it('leaves alone what is no method, and what answers at once', () => {
    const calls: StoreCall[] = [];
    const admin = {};
    const store = observeStore({ admin, name: () => 'sqlite' }, (call) => calls.push(call));
    assert.equal(store.admin, admin);
    assert.equal(store.name(), 'sqlite');
    assert.deepEqual(calls, []);
  });

  it('has every member of the real store', async () => {
    const store = await openStore('memory:');
    const methods: string[] = [];
    const observed = observeStore(store, ({ method }) => methods.push(method));
    assert.deepEqual(Object.keys(observed), Object.keys(store));
    await observed.ping();
    assert.equal(await observed.getSession('owner', 'missing'), null);
    await observed.close();
    assert.deepEqual(methods, ['ping', 'getSession', 'close']);
  });
});
