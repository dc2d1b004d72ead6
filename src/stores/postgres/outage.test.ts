/** Outages of a real server, and their end without a restart of this one. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Client, DatabaseError } from 'pg';
import { AppError } from '../../errors.ts';
import { sampleBypass } from '../admin-store.contract.ts';
import type { OpenedStore } from '../admin-store.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { openPostgresStore } from '../postgres.ts';
import {
  begin,
  createdSession,
  OWNER,
  RESTARTED,
  rejectsWith,
  runTurn,
  sampleBegin,
  sampleOutcome,
  sampleSession,
} from '../store-samples.contract.ts';
import { skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();

async function opened(context: TestContext, timeoutMilliseconds: number, parameters?: string) {
  const location = postgres.location(parameters);
  const store = await openPostgresStore(location, { timeoutMilliseconds });
  context.after(() => store.close());
  return { store, location };
}

/** Everything that writes or asks whether it could. */
async function assertOut(store: OpenedStore, sessionId: string): Promise<void> {
  await Promise.all([
    rejectsWith(store.ping(), 'store_unavailable'),
    rejectsWith(store.createSession(sampleSession()), 'store_unavailable'),
    rejectsWith(store.beginTurn(sampleBegin(sampleSession({ id: sessionId }))), 'store_unavailable'),
    rejectsWith(store.admin.saveBypass(sampleBypass(), sampleEntry()), 'store_unavailable'),
  ]);
}

test('a server that crashes in the middle of turns loses none that was acknowledged', {
  skip,
}, async (context) => {
  const { store, location } = await opened(context, 5000);
  const acknowledged: [sessionId: string, turnId: string, ended: boolean][] = [];
  const refusals: unknown[] = [];
  let isOver = false;
  const enough = Promise.withResolvers<void>();
  const client = async () => {
    const session = await createdSession(store);
    while (!isOver) {
      try {
        const { turnId, fence } = await begin(store, session);
        acknowledged.push([session.id, turnId, false]);
        await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: sampleOutcome() });
        acknowledged.push([session.id, turnId, true]);
        if (acknowledged.length > 200) enough.resolve();
      } catch (error) {
        refusals.push(error);
        // What the crash has left running keeps its session busy: this client has seen enough.
        return;
      }
    }
  };
  const clients = Promise.all(Array.from({ length: 16 }, client));
  await enough.promise;
  await postgres.crash();
  isOver = true;
  await clients;
  assert.ok(refusals.length > 0);
  for (const error of refusals) assert.ok(error instanceof AppError && error.code === 'store_unavailable');
  await assertOut(store, acknowledged[0]![0]);
  await rejectsWith(store.getSession(OWNER, acknowledged[0]![0]), 'store_unavailable');
  await assert.rejects(openPostgresStore(location, { timeoutMilliseconds: 2000 }), /ECONNREFUSED/);

  await postgres.start();
  while (!(await answers(store)));
  // Those that had begun, their answers lost or not, are failed when their lease is over.
  await store.failInterrupted(RESTARTED, 9000);
  const state = new Map<string, boolean>();
  for (const [sessionId, turnId, ended] of acknowledged) state.set(`${sessionId} ${turnId}`, ended);
  for (const [ids, ended] of state) {
    const [sessionId = '', turnId = ''] = ids.split(' ');
    const turn = await store.getTurn(OWNER, sessionId, turnId);
    if (ended) assert.equal(turn?.status, 'completed');
    // The commit of one that was not acknowledged has happened, or not.
    else assert.ok(turn?.status === 'completed' || turn?.error?.code === 'server_restarted');
  }
  for (const [sessionId] of acknowledged.slice(0, 20)) {
    await runTurn(store, sampleSession({ id: sessionId }));
  }
});

test('a server that does not answer is waited for until the deadline', { skip }, async (context) => {
  const { store } = await opened(context, 1000);
  const session = await createdSession(store);
  // Several connections, so that the pause meets idle ones.
  await Promise.all(Array.from({ length: 20 }, () => store.getSession(OWNER, session.id)));
  const goOn = await postgres.pause();
  try {
    await assertOut(store, session.id);
    await rejectsWith(store.getSession(OWNER, session.id), 'store_unavailable');
  } finally {
    goOn();
  }
  await runsAgain(store, session.id);
});

test('where this process had no time, an answer that is here is no outage', { skip }, async (context) => {
  const { store } = await opened(context, 1000, 'connections=1');
  const session = await createdSession(store);
  const answer = store.getSession(OWNER, session.id);
  // Let what is to be sent be sent; then stand still, while the server answers.
  await new Promise(setImmediate);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
  assert.deepEqual(await answer, session);
});

test('a server that accepts connections and says nothing is waited for no longer than that', {
  skip,
}, async (context) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  context.after(() => silent.close());
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  await assert.rejects(
    openPostgresStore(`postgres://u:secret@127.0.0.1:${port}/d`, { timeoutMilliseconds: 200 }),
    (error: Error) => /timeout/.test(error.message) && !/secret/.test(error.message),
  );
});

test('connections that are cut fail what is under way on them, and are replaced', {
  skip,
}, async (context) => {
  const { store } = await opened(context, 5000);
  const session = await createdSession(store);
  const cut =
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = $$parley$$';
  let answers = 0;
  for (let round = 0; round < 5; round += 1) {
    const calls = Array.from({ length: 50 }, () => store.getSession(OWNER, session.id));
    const settled = Promise.allSettled(calls);
    await postgres.execute(cut);
    for (const outcome of await settled) {
      if (outcome.status === 'fulfilled') answers += 1;
      else assert.equal(outcome.reason.code, 'store_unavailable');
    }
  }
  assert.ok(answers > 0);
  await runsAgain(store, session.id);
});

test('a database that is read-only is read, and refuses the rest until it is not', {
  skip,
}, async (context) => {
  const { store } = await opened(context, 5000);
  const session = await createdSession(store);
  await setReadOnly(store, 'on');
  try {
    await assertOut(store, session.id);
    await rejectsWith(store.deleteSession(OWNER, session.id), 'store_unavailable');
    await rejectsWith(store.sweep(0, null), 'store_unavailable');
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
    assert.deepEqual(await store.admin.listBypass(), []);
  } finally {
    await setReadOnly(store, 'off');
  }
  await runsAgain(store, session.id);
});

test('a lock that stays fails what waits for it, and costs no connection', { skip }, async (context) => {
  const { store, location } = await opened(context, 1000, 'connections=1');
  const session = await createdSession(store);
  const schema = new URL(location).searchParams.get('schema')!;
  const connections = () =>
    postgres.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'parley' ORDER BY pid");
  const before = await connections();
  assert.equal(before.length, 1);
  const operator = new Client({ connectionString: location });
  await operator.connect();
  try {
    await operator.query(`BEGIN; LOCK TABLE "${schema}".sessions`);
    await rejectsWith(store.getSession(OWNER, session.id), 'store_unavailable');
    await operator.query('ROLLBACK');
  } finally {
    await operator.end();
  }
  await runsAgain(store, session.id);
  assert.deepEqual(await connections(), before);
});

test('a server that has no more connections to give is used on those that there are', {
  skip,
}, async (context) => {
  await postgres.execute(
    'CREATE ROLE limited LOGIN CONNECTION LIMIT 2; GRANT CREATE ON DATABASE postgres TO limited',
  );
  const location = postgres.location().replace('parley@', 'limited@');
  const store = await openPostgresStore(location, { timeoutMilliseconds: 5000 });
  context.after(() => store.close());
  const session = await createdSession(store);
  const calls = () =>
    Promise.allSettled(Array.from({ length: 40 }, () => store.getSession(OWNER, session.id)));
  for (const outcome of await calls()) {
    if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'store_unavailable');
  }
  const later = await calls();
  assert.ok(later.every(({ status }) => status === 'fulfilled'));
});

test('what is wrong about a call stays what it is', { skip }, async (context) => {
  const { store } = await opened(context, 5000);
  const session = await createdSession(store);
  await assert.rejects(
    store.createSession(session),
    (error) => error instanceof DatabaseError && error.code === '23505',
  );
  await runsAgain(store, session.id);
});

/** Resolves when the server acts on it: processes that are there hear of it one after the other. */
async function setReadOnly(store: OpenedStore, value: 'on' | 'off'): Promise<void> {
  await postgres.execute(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
  await postgres.execute('SELECT pg_reload_conf()');
  for (let writes = value === 'on'; writes === (value === 'on'); ) {
    writes = await answers(store);
  }
}

function answers(store: OpenedStore): Promise<boolean> {
  return store.ping().then(
    () => true,
    () => false,
  );
}

/**
 * Turns run in the session again. A beginning that was cut may have happened all the same, and later: what it has left
 * is failed when its lease is over.
 */
async function runsAgain(store: OpenedStore, sessionId: string): Promise<void> {
  // A call may still meet a connection whose end has not been heard of.
  while (!(await answers(store)));
  for (;;) {
    const request = sampleBegin(sampleSession({ id: sessionId }));
    const outcome = await store.beginTurn(request);
    if (outcome.kind === 'begun') {
      const { turnId } = request;
      const commit = { sessionId, turnId, fence: outcome.fence, outcome: sampleOutcome() };
      assert.equal(await store.commitTurn(commit), true);
      return;
    }
    assert.equal(outcome.kind, 'busy');
    await store.failInterrupted(RESTARTED, 9000);
  }
}
