import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Database, openDatabase } from './sqlite-database.ts';
import { createGroupCommit, type Sync } from './sqlite-group-commit.ts';
import { rejectsWith } from './store-samples.contract.ts';

/** A database whose transactions are counted, and a sync that ends when the test says so. */
function setUp(context: TestContext) {
  const opened = openDatabase(':memory:');
  context.after(() => opened.close());
  opened.execute('CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT');
  const insertRow = opened.prepare('INSERT INTO numbers VALUES (?)');
  const select = opened.prepare<[number]>('SELECT number FROM numbers ORDER BY number');
  let transactions = 0;
  const database: Database = {
    ...opened,
    transaction(work) {
      transactions += 1;
      return opened.transaction(work);
    },
  };
  const syncs: Parameters<Sync>[0][] = [];
  let whenSyncing: (() => void) | null = null;
  const sync: Sync = (done) => {
    syncs.push(done);
    whenSyncing?.();
  };
  return {
    database,
    sync,
    insert: (number: number) => insertRow.run(number).changes,
    numbers: () => select.all().flat(),
    transactions: () => transactions,
    /** Resolves when a sync has begun, with the function that ends it. */
    async nextSync(): Promise<Parameters<Sync>[0]> {
      if (syncs.length === 0) await new Promise<void>((resolve) => (whenSyncing = resolve));
      return syncs.shift()!;
    },
  };
}

/** What has become of a promise by now. */
function watch(promise: Promise<unknown>): () => string {
  let state = 'waiting';
  promise.then(
    () => (state = 'resolved'),
    () => (state = 'rejected'),
  );
  return () => state;
}

const aTurnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve));

test('writes of one round share a transaction and a sync, and are answered after it', async (context) => {
  const { database, sync, insert, transactions, nextSync } = setUp(context);
  const commits = createGroupCommit(database, sync);
  const writes = [1, 2, 3].map((number) => commits.write(() => insert(number)));
  const states = writes.map(watch);
  const done = await nextSync();
  await aTurnOfTheLoop();
  assert.deepEqual(
    states.map((state) => state()),
    ['waiting', 'waiting', 'waiting'],
  );
  done(null);
  assert.deepEqual(await Promise.all(writes), [1, 1, 1]);
  assert.equal(transactions(), 1);
});

test('writes during a sync wait for the next', async (context) => {
  const { database, sync, insert, numbers, transactions, nextSync } = setUp(context);
  const commits = createGroupCommit(database, sync);
  const first = commits.write(() => insert(1));
  const endFirst = await nextSync();
  const later = [2, 3].map((number) => commits.write(() => insert(number)));
  const state = watch(later[0]!);
  await aTurnOfTheLoop();
  assert.deepEqual(numbers(), [1]);
  endFirst(null);
  await first;
  const endSecond = await nextSync();
  await aTurnOfTheLoop();
  assert.equal(state(), 'waiting');
  endSecond(null);
  await Promise.all(later);
  assert.deepEqual([numbers(), transactions()], [[1, 2, 3], 2]);
});

test('a read shows nothing that could still be lost', async (context) => {
  const { database, sync, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, sync);
  assert.deepEqual(await commits.read(numbers), []);
  const write = commits.write(() => insert(1));
  const done = await nextSync();
  const read = commits.read(numbers);
  const state = watch(read);
  await aTurnOfTheLoop();
  assert.equal(state(), 'waiting');
  done(null);
  assert.deepEqual(await read, [1]);
  await write;
});

test('of a batch with a failing operation only that one fails', async (context) => {
  const { database, insert, numbers } = setUp(context);
  const commits = createGroupCommit(database, null);
  const guilty = new Error('guilty');
  const results = await Promise.allSettled([
    commits.write(() => insert(1)),
    commits.write(() => {
      insert(2);
      throw guilty;
    }),
    commits.write(() => insert(1)),
    commits.write(() => insert(3)),
  ]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  );
  assert.equal((results[1] as PromiseRejectedResult).reason, guilty);
  assert.deepEqual(numbers(), [1, 3]);
});

test('an engine that cannot write fails the batch, and works again when it can', async (context) => {
  const { database, insert, numbers, transactions } = setUp(context);
  const commits = createGroupCommit(database, null);
  database.execute('PRAGMA query_only = ON');
  await Promise.all(
    [1, 2].map((number) =>
      rejectsWith(
        commits.write(() => insert(number)),
        'store_unavailable',
      ),
    ),
  );
  assert.equal(transactions(), 1);
  database.execute('PRAGMA query_only = OFF');
  await commits.write(() => insert(3));
  assert.deepEqual(numbers(), [3]);
});

test('after a failed sync nothing is acknowledged any more', async (context) => {
  const { database, sync, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, sync);
  const waitedForSync = commits.write(() => insert(1));
  const done = await nextSync();
  const queued = commits.write(() => insert(2));
  const read = commits.read(numbers);
  done(new Error('EIO'));
  for (const promise of [waitedForSync, queued, read]) await rejectsWith(promise, 'store_unavailable');
  await rejectsWith(
    commits.write(() => insert(3)),
    'store_unavailable',
  );
  await rejectsWith(commits.read(numbers), 'store_unavailable');
  await commits.close();
  assert.deepEqual(numbers(), [1]);
});

test('close waits for the sync under way and the writes behind it', async (context) => {
  const { database, sync, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, sync);
  const first = commits.write(() => insert(1));
  const endFirst = await nextSync();
  const second = commits.write(() => insert(2));
  const closed = commits.close();
  const state = watch(closed);
  endFirst(null);
  await first;
  const endSecond = await nextSync();
  assert.equal(state(), 'waiting');
  endSecond(null);
  await Promise.all([second, closed]);
  assert.deepEqual(numbers(), [1, 2]);
});
