import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { openDatabaseFile } from './file.ts';
import { rewriteLog } from './log-check.ts';
import { temporaryDatabase } from './samples.contract.ts';

const FRAME_BYTES = 24 + 4096;

/** A log with a number of transactions in it, and how many frames SQLite has committed. */
function setUp(context: TestContext, transactions: number) {
  const file = openDatabaseFile(temporaryDatabase(context));
  context.after(file.close);
  const { database, path } = file;
  database.execute('CREATE TABLE notes (text TEXT) STRICT');
  const insert = database.prepare('INSERT INTO notes VALUES (?)');
  const write = () => database.transaction(() => insert.run('x'.repeat(6000)));
  for (let made = 0; made < transactions; made += 1) write();
  const frames = () => database.prepare<[number, number, number]>('PRAGMA wal_checkpoint(NOOP)').get()![1];
  const log = `${path}-wal`;
  const descriptor = openSync(log, 'r+');
  context.after(() => closeSync(descriptor));
  return { database, log, write, frames, rewrite: (count: number) => rewriteLog(descriptor, count) };
}

test('a whole log holds, is as it was afterwards, and can be written on', async (context) => {
  const { log, write, frames, rewrite } = setUp(context, 300);
  // More than is read at once.
  assert.ok(frames() > 512);
  const before = readFileSync(log);
  assert.equal(await rewrite(frames()), true);
  assert.ok(readFileSync(log).equals(before));
  write();
  assert.equal(await rewrite(frames()), true);
});

test('an empty log holds', async (context) => {
  const { database, log, frames, rewrite } = setUp(context, 3);
  database.execute('PRAGMA wal_checkpoint(TRUNCATE)');
  assert.deepEqual([statSync(log).size, frames()], [0, 0]);
  assert.equal(await rewrite(0), true);
  assert.equal(await rewrite(1), false);
});

test('frames of an earlier run of the log do not count', async (context) => {
  const { database, write, frames, rewrite } = setUp(context, 20);
  const earlier = frames();
  database.execute('PRAGMA wal_checkpoint(RESTART)');
  write();
  assert.ok(frames() < earlier);
  assert.equal(await rewrite(frames()), true);
  assert.equal(await rewrite(earlier), false);
});

test('a log that ends inside a transaction, or before its frames, does not hold', async (context) => {
  const { log, frames, rewrite } = setUp(context, 3);
  const count = frames();
  // Each transaction has several frames.
  assert.equal(await rewrite(count - 1), false);
  truncateSync(log, 32 + count * FRAME_BYTES - 1);
  assert.equal(await rewrite(count), false);
});

test('no byte can change unnoticed', async (context) => {
  const { log, frames, rewrite } = setUp(context, 4);
  const whole = readFileSync(log);
  const count = frames();
  const used = 32 + count * FRAME_BYTES;
  await fc.assert(
    fc.asyncProperty(fc.nat(used - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= change;
      writeFileSync(log, damaged);
      assert.equal(await rewrite(count), false);
    }),
    { numRuns: 200 },
  );
  writeFileSync(log, whole);
  assert.equal(await rewrite(count), true);
});

test('a page that the disk never got does not hold', async (context) => {
  const { log, frames, rewrite } = setUp(context, 4);
  const whole = readFileSync(log);
  whole.fill(0, 4096, 8192);
  writeFileSync(log, whole);
  assert.equal(await rewrite(frames()), false);
});
