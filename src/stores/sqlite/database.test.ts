import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from './database.ts';

test('a transaction that throws is rolled back, and whoever read in it is told', (context) => {
  const database = openDatabase(':memory:');
  context.after(() => database.close());
  database.execute('CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT');
  const insert = database.prepare('INSERT INTO numbers VALUES (?)');
  const select = database.prepare<[number]>('SELECT number FROM numbers');
  let told = 0;
  database.onRollback(() => {
    told += 1;
    assert.deepEqual(select.all(), []);
  });
  const failing = () => {
    insert.run(1);
    throw new Error('on purpose');
  };
  assert.throws(() => database.transaction(failing), /on purpose/);
  assert.equal(told, 1);
  database.transaction(() => insert.run(2));
  assert.deepEqual([told, select.all()], [1, [[2]]]);
});
