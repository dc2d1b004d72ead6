import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEntry } from '../conversation/client.ts';
import { observeChanges } from './observe-changes.ts';

const entry = (action: string): AuditEntry => ({ id: 'e', at: 1, action, subject: 's', details: {} });

function stage() {
  const told: string[] = [];
  const store = {
    version: 3,
    save: (_value: object, _entry: AuditEntry) => Promise.resolve(),
    remove: (name: string, _entry: AuditEntry) => Promise.resolve(name === 'there'),
    removeAll: (names: string[], _entry: AuditEntry) => Promise.resolve(names),
    fail: (_entry: AuditEntry) => Promise.reject(new Error('out')),
    list: () => Promise.resolve([entry('listed')]),
    count: () => 7,
  };
  return { told, store: observeChanges(store, ({ action }) => told.push(action)) };
}

test('a change is told when it is made, and not before', async () => {
  const { store, told } = stage();
  const saved = store.save({ id: 1 }, entry('saved'));
  assert.deepEqual(told, []);
  await saved;
  assert.equal(await store.remove('there', entry('removed')), true);
  assert.deepEqual(await store.removeAll(['one'], entry('all removed')), ['one']);
  assert.deepEqual(told, ['saved', 'removed', 'all removed']);
});

test('one that failed, or had nothing to change, is not told', async () => {
  const { store, told } = stage();
  await assert.rejects(store.fail(entry('failed')), { message: 'out' });
  assert.equal(await store.remove('gone', entry('removed')), false);
  assert.deepEqual(await store.removeAll([], entry('all removed')), []);
  assert.deepEqual(told, []);
});

test('what changes nothing is passed on', async () => {
  const { store, told } = stage();
  assert.equal((await store.list()).length, 1);
  assert.deepEqual([store.count(), store.version], [7, 3]);
  assert.deepEqual(told, []);
});
