import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createBucketTable, type Level } from './bucket-table.ts';

describe('the table of buckets', () => {
  test('knows what was last written', () => {
    const table = createBucketTable();
    assert.equal(table.get('a'), undefined);
    table.set('a', { tokens: 1.5, at: 10, fullAt: 20 });
    table.set('a', { tokens: 0.5, at: 11, fullAt: 21 });
    assert.deepEqual(table.get('a'), { tokens: 0.5, at: 11, fullAt: 21 });
    assert.equal(table.size, 1);
  });

  test('keeps as many as are written, each its own', () => {
    const table = createBucketTable();
    for (let index = 0; index < 5000; index += 1) {
      table.set(`${index}`, { tokens: index, at: 0, fullAt: 5000 - index });
    }
    assert.equal(table.size, 5000);
    for (let index = 0; index < 5000; index += 1) assert.equal(table.get(`${index}`)?.tokens, index);
  });

  test('forgets those that are full, no more at once than it is told', () => {
    const table = createBucketTable();
    for (const fullAt of [5, 1, 4, 2, 3]) table.set(`${fullAt}`, { tokens: 0, at: 0, fullAt });
    table.forgetFull(3, 2);
    assert.deepEqual(known(table, ['1', '2', '3', '4', '5']), ['3', '4', '5']);
    table.forgetFull(3, 2);
    assert.deepEqual(known(table, ['1', '2', '3', '4', '5']), ['4', '5']);
  });

  test('forgets in the end exactly those that are full, whatever was written before', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const write = fc.record({
      name: fc.constantFrom(...names),
      // Later with each write, as it is while the rate stays the same.
      more: fc.nat(50),
      forgetAt: fc.option(fc.nat(400)),
      most: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 100 }), fc.nat(400), (writes, time) => {
        const table = createBucketTable();
        const model = new Map<string, Level>();
        for (const { name, more, forgetAt, most } of writes) {
          const level = { tokens: more, at: 0, fullAt: (model.get(name)?.fullAt ?? 0) + more };
          table.set(name, level);
          model.set(name, level);
          if (forgetAt === null) continue;
          const before = known(table, names);
          table.forgetFull(forgetAt, most);
          const gone = before.filter((name) => table.get(name) === undefined);
          const full = before.filter((name) => (model.get(name)?.fullAt ?? 0) <= forgetAt);
          assert.equal(gone.length, Math.min(most, full.length));
          assert.ok(gone.every((name) => full.includes(name)));
          for (const name of gone) model.delete(name);
        }
        table.forgetFull(time, Infinity);
        for (const [name, level] of model) {
          assert.deepEqual(table.get(name), level.fullAt <= time ? undefined : level);
        }
        assert.equal(table.size, known(table, names).length);
      }),
    );
  });

  test('a bucket that is full earlier than it was to be is forgotten at the latest when it was to be', () => {
    const table = createBucketTable();
    table.set('a', { tokens: 0, at: 0, fullAt: 100 });
    table.set('a', { tokens: 0, at: 0, fullAt: 10 });
    table.forgetFull(100, 1);
    assert.equal(table.size, 0);
  });
});

function known(table: ReturnType<typeof createBucketTable>, names: readonly string[]): string[] {
  return names.filter((name) => table.get(name) !== undefined);
}
