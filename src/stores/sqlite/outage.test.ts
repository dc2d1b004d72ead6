/** Outages of a real database file, and their end without a restart. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { sampleBypass } from '../admin-store.contract.ts';
import type { OpenedStore } from '../admin-store.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { createSqliteStore } from '../sqlite.ts';
import {
  begin,
  createdSession,
  OWNER,
  rejectsWith,
  runTurn,
  sampleBegin,
  sampleKey,
  sampleOutcome,
  sampleSession,
  userMessage,
} from '../store-samples.contract.ts';
import { openDatabaseFile } from './file.ts';
import { createGroupCommit } from './group-commit.ts';
import { openWriteAheadLog } from './log.ts';
import type { Recovery, Sync } from './outage.ts';
import { temporaryDatabase } from './samples.contract.ts';

/** A store whose disk fails to sync while `failing` is set, and whose connection is at hand. */
function setUp(context: TestContext, lockMilliseconds = 2000) {
  const { database, path, close } = openDatabaseFile(temporaryDatabase(context));
  const messages: string[] = [];
  const log = openWriteAheadLog(database, path, { error: (_, message) => messages.push(message) });
  const disk = { failing: false };
  const sync: Sync = (done) => {
    if (disk.failing) setImmediate(done, new Error('EIO'));
    else log.sync(done);
  };
  const recover = () => (disk.failing ? Promise.resolve<Recovery>('not_yet') : log.recover());
  const pauses = { lockMilliseconds, recoveryMilliseconds: 1 };
  const commits = createGroupCommit(database, { sync, recover }, pauses);
  const store = createSqliteStore(database, commits, async () => {
    await log.close();
    close();
  });
  context.after(() => store.close());
  return { store, database, path, disk, messages };
}

/** Everything that writes or asks whether it could. */
async function assertOut(store: OpenedStore, sessionId: string): Promise<void> {
  await rejectsWith(store.ping(), 'store_unavailable');
  await rejectsWith(store.createSession(sampleSession()), 'store_unavailable');
  await rejectsWith(store.beginTurn(sampleBegin(sampleSession({ id: sessionId }))), 'store_unavailable');
  await rejectsWith(store.admin.saveBypass(sampleBypass(), sampleEntry()), 'store_unavailable');
}

/** Waits until the store answers to `ping`; the timer keeps the process, which the store does not. */
async function recovered(store: OpenedStore): Promise<void> {
  for (;;) {
    const up = await store.ping().then(
      () => true,
      () => false,
    );
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('a full disk fails writes, leaves nothing of them, and is over when there is room', async (context) => {
  const { store, database } = setUp(context);
  const session = await createdSession(store);
  const first = await runTurn(store, session);
  const { turnId, fence } = await begin(store, session);
  const pages = database.prepare<[number]>('PRAGMA page_count').get()![0];
  database.execute(`PRAGMA max_page_count = ${pages}`);
  const output = [userMessage('x'.repeat(100_000))];
  const outcome = sampleOutcome({ output, completedAt: 7000 });
  const commit = { sessionId: session.id, turnId, fence, outcome };
  const large = sampleSession({ instructions: 'x'.repeat(100_000) });
  const failed = await Promise.allSettled([
    store.commitTurn(commit),
    store.createSession(large),
    store.updateSession(OWNER, session.id, { instructions: large.instructions }, 8000),
  ]);
  for (const { status, ...rest } of failed) {
    assert.equal(status, 'rejected');
    assert.equal((rest as PromiseRejectedResult).reason.code, 'store_unavailable');
  }
  assert.equal((await store.getSession(OWNER, session.id))!.headTurnId, first);
  assert.equal((await store.getTurn(OWNER, session.id, turnId))!.status, 'in_progress');
  database.execute('PRAGMA max_page_count = 1000000');
  assert.equal(await store.commitTurn(commit), true);
  assert.deepEqual((await store.getTurn(OWNER, session.id, turnId))!.output, output);
  await store.createSession(large);
});

test('a database that cannot be written to is read, and refuses the rest until it can', async (context) => {
  const { store, database } = setUp(context);
  const session = await createdSession(store);
  database.execute('PRAGMA query_only = ON');
  await assertOut(store, session.id);
  assert.deepEqual(await store.getSession(OWNER, session.id), session);
  database.execute('PRAGMA query_only = OFF');
  await store.ping();
  await runTurn(store, session);
  assert.deepEqual(await store.admin.listBypass(), []);
  await store.admin.saveBypass(sampleBypass(), sampleEntry());
});

test("a write waits for another connection's lock, and the event loop does not", async (context) => {
  const { store, path } = setUp(context, 60_000);
  const session = await createdSession(store);
  const other = new DatabaseSync(path, { timeout: 0 });
  context.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  let answered = false;
  const first = runTurn(store, session).finally(() => {
    answered = true;
  });
  // Long enough for several tries; what comes meanwhile waits as well, and readers do not.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const second = createdSession(store);
  assert.deepEqual(await store.getSession(OWNER, session.id), session);
  assert.equal(answered, false);
  other.exec('ROLLBACK');
  await Promise.all([first, second, store.ping()]);
});

test('a lock that stays fails what waits for it, and nothing after it', async (context) => {
  const { store, path } = setUp(context, 30);
  const session = await createdSession(store);
  const other = new DatabaseSync(path, { timeout: 0 });
  context.after(() => other.close());
  other.exec('BEGIN EXCLUSIVE');
  await assertOut(store, session.id);
  other.exec('ROLLBACK');
  await store.ping();
  await runTurn(store, session);
});

test('after a failed sync the store comes back by itself, with all that was committed', async (context) => {
  const { store, disk, messages } = setUp(context);
  const session = await createdSession(store);
  const done = await runTurn(store, session);
  disk.failing = true;
  const key = sampleKey();
  await rejectsWith(store.beginTurn(sampleBegin(session, { key })), 'store_unavailable');
  await rejectsWith(store.getSession(OWNER, session.id), 'store_unavailable');
  await assertOut(store, session.id);
  disk.failing = false;
  await recovered(store);
  // What could not be acknowledged has not begun, and its key is new.
  const second = await runTurn(store, session);
  const other = { ...key, fingerprint: 'f2' };
  const next = await begin(store, session, { key: other });
  assert.equal(next.parentId, second);
  const turns = await store.listTurns(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
  assert.deepEqual(
    turns!.data.map(({ id }) => id),
    [done, second, next.turnId],
  );
  assert.deepEqual(messages, []);
});

test('a log that has lost a page keeps the store closed, and asks for a restart', async (context) => {
  const { store, path, disk, messages } = setUp(context);
  const session = await createdSession(store);
  disk.failing = true;
  await rejectsWith(runTurn(store, session), 'store_unavailable');
  const log = openSync(`${path}-wal`, 'r+');
  // The middle of the last frame that was written.
  writeSync(log, Buffer.alloc(512, 0xff), 0, 512, readFileSync(`${path}-wal`).length - 2048);
  closeSync(log);
  disk.failing = false;
  while (messages.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.match(messages[0]!, /cannot be recovered; restart the server/);
  await assertOut(store, session.id);
});
