import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { rejectsWith } from '../store-samples.contract.ts';
import { type Database, openDatabase } from './database.ts';
import { createGroupCommit } from './group-commit.ts';
import type { Disk, Recovery, Sync } from './outage.ts';

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
  const recoveries: Recovery[] = [];
  const recover = () => Promise.resolve(recoveries.shift() ?? 'not_yet');
  const disk: Disk = { sync, recover };
  return {
    database,
    disk,
    /** What the next tries to recover will come to. */
    recoveries,
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

/** The pauses between tries to recover keep no process; in a test nothing else does. */
async function keepAlive<Result>(promise: Promise<Result>): Promise<Result> {
  const timer = setInterval(() => undefined, 1000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

/** Tries until the store accepts it. */
async function untilAccepted<Result>(operation: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await operation();
    } catch {
      await aTurnOfTheLoop();
    }
  }
}

const aTurnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve));

test('writes of one round share a transaction and a sync, and are answered after it', async (context) => {
  const { database, disk, insert, transactions, nextSync } = setUp(context);
  const commits = createGroupCommit(database, disk);
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
  const { database, disk, insert, numbers, transactions, nextSync } = setUp(context);
  const commits = createGroupCommit(database, disk);
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
  const { database, disk, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, disk);
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

test('after a failed sync nothing is accepted until the disk is recovered', async (context) => {
  const { database, disk, insert, numbers, nextSync } = setUp(context);
  const { promise: recovered, resolve: recover } = Promise.withResolvers<Recovery>();
  const { promise: recovering, resolve: begins } = Promise.withResolvers<void>();
  const slow: Disk = {
    ...disk,
    recover() {
      begins();
      return recovered;
    },
  };
  const commits = createGroupCommit(database, slow, { lockMilliseconds: 0, recoveryMilliseconds: 1 });
  const waitedForSync = commits.write(() => insert(1));
  const done = await nextSync();
  const queued = commits.write(() => insert(2));
  const read = commits.read(numbers);
  done(new Error('EIO'));
  for (const promise of [waitedForSync, queued, read]) await rejectsWith(promise, 'store_unavailable');
  await keepAlive(recovering);
  await rejectsWith(
    commits.write(() => insert(3)),
    'store_unavailable',
  );
  await rejectsWith(commits.read(numbers), 'store_unavailable');
  recover('recovered');
  await aTurnOfTheLoop();
  assert.deepEqual(await commits.read(numbers), [1]);
  const write = commits.write(() => insert(4));
  (await nextSync())(null);
  assert.equal(await write, 1);
  await commits.close();
});

test('what was committed and called a failure can be undone, once and before anything else', async (context) => {
  const { database, disk, recoveries, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, disk, { lockMilliseconds: 0, recoveryMilliseconds: 1 });
  const remove = database.prepare('DELETE FROM numbers WHERE number = ?');
  const undone: number[] = [];
  const writes = [1, 2, 3].map((number) =>
    commits.write(
      () => {
        insert(number);
        return number;
      },
      number === 2
        ? undefined
        : (result) => {
            undone.push(result);
            remove.run(result);
          },
    ),
  );
  recoveries.push('not_yet', 'not_yet', 'recovered');
  (await nextSync())(new Error('EIO'));
  for (const write of writes) await rejectsWith(write, 'store_unavailable');
  assert.deepEqual(await keepAlive(untilAccepted(() => commits.read(numbers))), [2]);
  // Each undoing runs after those of what was done later.
  assert.deepEqual(undone, [3, 1]);
  await commits.close();
});

test('a disk that has lost something is not tried again', async (context) => {
  const { database, disk, insert, numbers, nextSync } = setUp(context);
  let tries = 0;
  const { promise: tried, resolve } = Promise.withResolvers<void>();
  const broken: Disk = {
    ...disk,
    recover() {
      tries += 1;
      resolve();
      return Promise.resolve('lost');
    },
  };
  const commits = createGroupCommit(database, broken, { lockMilliseconds: 0, recoveryMilliseconds: 1 });
  const write = commits.write(() => insert(1));
  (await nextSync())(new Error('EIO'));
  await rejectsWith(write, 'store_unavailable');
  await keepAlive(tried);
  // Longer than the pause after which it would be tried again.
  await new Promise((done) => setTimeout(done, 5));
  await rejectsWith(commits.read(numbers), 'store_unavailable');
  await commits.close();
  assert.equal(tries, 1);
});

test('close waits for the sync under way and the writes behind it', async (context) => {
  const { database, disk, insert, numbers, nextSync } = setUp(context);
  const commits = createGroupCommit(database, disk);
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
