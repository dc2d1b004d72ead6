/** Databases that older versions wrote, with data in them, opened by this one. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { sampleClient } from '../admin-store.contract.ts';
import type { OpenedStore } from '../admin-store.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { sampleTotal } from '../admin-store-usage.contract.ts';
import { openSqliteStore } from '../sqlite.ts';
import {
  answerMessage,
  begin,
  ids,
  OWNER,
  RESTARTED,
  runTurn,
  SERVED,
  sampleBegin,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sweepAll,
  userMessage,
} from '../store-samples.contract.ts';
import { temporaryDatabase } from './samples.contract.ts';

/** The tables of version 1, as that version made them, and the two rows in its file's header. */
const VERSION_1 = `
  CREATE TABLE sessions (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    head INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, settings TEXT NOT NULL) STRICT;
  CREATE INDEX sessions_by_owner ON sessions (owner, id);
  CREATE TABLE session_metadata (session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    key TEXT NOT NULL, value TEXT NOT NULL, owner TEXT NOT NULL, session_id TEXT NOT NULL,
    PRIMARY KEY (session, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX session_metadata_by_pair ON session_metadata (owner, key, value, session_id);
  CREATE TABLE turns (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE, parent INTEGER, jump INTEGER,
    depth INTEGER NOT NULL, places_before INTEGER NOT NULL, places INTEGER NOT NULL, status TEXT NOT NULL,
    created_at INTEGER NOT NULL, completed_at INTEGER, record TEXT) STRICT;
  CREATE INDEX turns_by_session ON turns (session);
  CREATE TABLE running_turns (session INTEGER PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    turn INTEGER NOT NULL) STRICT;
  CREATE TABLE items (sequence INTEGER PRIMARY KEY, turn INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    output INTEGER NOT NULL, placed INTEGER NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL) STRICT;
  CREATE INDEX items_by_turn ON items (turn);
  CREATE INDEX items_by_id ON items (id);
  PRAGMA application_id = 0x50726c79; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
`;

/** What version 2 has added. */
const VERSION_2 = `
  ALTER TABLE sessions ADD COLUMN expires_at INTEGER;
  ALTER TABLE sessions ADD COLUMN served_provider TEXT;
  ALTER TABLE sessions ADD COLUMN served_model TEXT;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;
  ALTER TABLE turns ADD COLUMN joined INTEGER NOT NULL DEFAULT 1;
  UPDATE turns SET joined = 0 WHERE status NOT IN ('completed', 'incomplete');
  CREATE TABLE turn_keys (session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE, key TEXT NOT NULL,
    fingerprint TEXT NOT NULL, turn INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (session, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX turn_keys_by_expiry ON turn_keys (expires_at);
  CREATE TABLE session_keys (owner TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE, expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX session_keys_by_session ON session_keys (session);
  CREATE INDEX session_keys_by_expiry ON session_keys (expires_at);
  PRAGMA user_version = 2;
`;

/** What versions 3 and 4 have added. */
const VERSION_4 = `
  CREATE TABLE clients (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, rps REAL, burst REAL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE api_keys (id TEXT NOT NULL PRIMARY KEY, client TEXT NOT NULL, prefix TEXT NOT NULL,
    hash TEXT NOT NULL, note TEXT, created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER,
    last_used_at INTEGER) STRICT, WITHOUT ROWID;
  CREATE INDEX api_keys_by_client ON api_keys (client);
  CREATE TABLE bypass (network TEXT NOT NULL PRIMARY KEY, note TEXT, created_at INTEGER NOT NULL,
    expires_at INTEGER) STRICT, WITHOUT ROWID;
  CREATE TABLE audit_log (id TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, details TEXT NOT NULL) STRICT, WITHOUT ROWID;
  ALTER TABLE clients ADD COLUMN concurrent_turns INTEGER;
  ALTER TABLE clients ADD COLUMN tokens_per_minute INTEGER;
  ALTER TABLE clients ADD COLUMN tokens_per_day INTEGER;
  PRAGMA user_version = 4;
`;

test('a database of version 1 is read, and written to, with all that is in it', async (context) => {
  const old = versionOne(context);
  const store = openSqliteStore(old.location);
  context.after(() => store.close());
  const session = { ...old.session, headTurnId: 't2', ttlSeconds: null, servedBy: null };
  assert.deepEqual(await store.getSession(OWNER, session.id), session);

  const listed = await store.listTurns(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
  const { status: _, output: __, completedAt: ___, ...outcome } = sampleOutcome();
  const ended = (index: number, status: string, parentId: string | null) => ({
    ...outcome,
    seenPlaces: 0,
    trace: null,
    id: `t${index}`,
    sessionId: session.id,
    parentId,
    status,
    input: [old.items[index * 2 - 2]],
    output: [old.items[index * 2 - 1]],
    createdAt: 2000,
    completedAt: 3000,
  });
  assert.deepEqual(listed!.data.slice(0, 4), [
    ended(1, 'completed', null),
    ended(2, 'incomplete', 't1'),
    ended(3, 'failed', 't2'),
    ended(4, 'cancelled', 't2'),
  ]);
  assert.equal(await store.failInterrupted(RESTARTED, 4000), 1);
  for (const parentTurnId of ['t3', 't4', 't5']) {
    const outcome = await store.beginTurn(sampleBegin(session, { parentTurnId }));
    assert.deepEqual(outcome, { kind: 'unusable_parent' });
  }
  const key = sampleKey();
  assert.deepEqual(ids((await begin(store, session, { parentTurnId: 't1', key })).path), ['t1']);
  assert.equal(await store.failInterrupted(RESTARTED, 4000), 1);
  assert.deepEqual(ids((await begin(store, session, { key })).path), ['t2', 't1']);
  assert.equal(await store.failInterrupted(RESTARTED, 4000), 1);
  await runTurn(store, session, { outcome: { completedAt: 5000 } });
  const timed = await store.updateSession(OWNER, session.id, { ttlSeconds: 1 }, 6000);
  assert.deepEqual([timed!.ttlSeconds, timed!.servedBy?.provider], [1, 'openai']);
  assert.equal(await sweepAll(store, 7000), 1);
  await assertAdministered(store);
});

test('a database of version 2 keeps its conversations, and can be administered', async (context) => {
  const old = versionOne(context);
  const database = new DatabaseSync(old.location);
  database.exec(VERSION_2);
  database.exec("UPDATE sessions SET served_provider = 'openai', served_model = 'gpt'");
  database.exec("INSERT INTO turn_keys VALUES (1, 'a key', 'f1', 1, 100000)");
  database.close();
  const store = openSqliteStore(old.location);
  context.after(() => store.close());
  const session = { ...old.session, headTurnId: 't2', ttlSeconds: null, servedBy: SERVED };
  assert.deepEqual(await store.getSession(OWNER, session.id), session);
  const key = sampleKey({ value: 'a key' });
  const replay = await store.beginTurn(sampleBegin(session, { key }));
  assert.equal(replay.kind === 'replay' && replay.turn.id, 't1');
  await assertAdministered(store);
  const all = { status: null, provider: null, owner: null, sessionId: null, since: null };
  const turns = await store.admin.recentTurns({ ...all, limit: 9, after: null });
  assert.deepEqual(ids(turns.data), ['t5', 't4', 't3', 't2', 't1']);
});

test('a database of version 4 keeps its clients, and counts what they use', async (context) => {
  const old = versionOne(context);
  const database = new DatabaseSync(old.location);
  database.exec(VERSION_2);
  database.exec(VERSION_4);
  database.exec("INSERT INTO clients VALUES ('c1', 'Shop', 0.5, 3, 1000, 1000, 2, 100, NULL)");
  database.close();
  const store = openSqliteStore(old.location);
  context.after(() => store.close());
  const limits = { rps: 0.5, burst: 3, concurrentTurns: 2, tokensPerMinute: 100, tokensPerDay: null };
  const page = { limit: 9, after: null, order: 'asc' } as const;
  assert.deepEqual((await store.admin.listClients(page)).data, [sampleClient({ id: 'c1', limits })]);
  await assertCounted(store);
});

/** What operators keep is there, empty, and can be written to. */
async function assertAdministered({ admin }: OpenedStore): Promise<void> {
  const page = { limit: 9, after: null, order: 'asc' } as const;
  const kept = [await admin.listKeys(), await admin.listBypass(), await admin.listStoppedProviders()];
  assert.deepEqual(kept, [[], [], []]);
  const client = sampleClient();
  await admin.saveClient(client, sampleEntry());
  assert.deepEqual(await admin.listClients(page), { data: [client], hasMore: false });
  assert.equal((await admin.listAudit(page)).data.length, 1);
  await assertCounted({ admin });
}

async function assertCounted({ admin }: Pick<OpenedStore, 'admin'>): Promise<void> {
  const day = { from: '2026-11-25', to: '2026-11-25', owner: null, by: [], limit: 1 };
  assert.deepEqual(await admin.readUsage(day), { data: [], hasMore: false });
  await admin.saveUsage([sampleTotal()]);
  assert.equal((await admin.readUsage(day)).data[0]?.turns, 1);
}

/** A session with a turn of each kind; the last one was running when its server died. */
function versionOne(context: TestContext) {
  const location = temporaryDatabase(context);
  mkdirSync(dirname(location));
  const database = new DatabaseSync(location);
  database.exec(VERSION_1);
  const {
    headTurnId: _head,
    ttlSeconds: _ttl,
    servedBy: _served,
    ...session
  } = sampleSession({ metadata: { a: '1' } });
  const { id, owner, createdAt, updatedAt, ...settings } = session;
  database
    .prepare('INSERT INTO sessions VALUES (1, ?, ?, 2, ?, ?, ?)')
    .run(id, owner, createdAt, updatedAt, JSON.stringify(settings));
  database.prepare('INSERT INTO session_metadata VALUES (1, ?, ?, ?, ?)').run('a', '1', owner, id);
  const { provider, model, providerSource, finishReason, attempts, usage, error } = sampleOutcome();
  const record = JSON.stringify({ provider, model, providerSource, finishReason, attempts, usage, error });
  const insertTurn = database.prepare('INSERT INTO turns VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, 2000, ?, ?)');
  const insertItem = database.prepare(
    'INSERT INTO items (turn, output, placed, id, json) VALUES (?, ?, 1, ?, ?)',
  );
  const items = [];
  for (const [index, [status, parent]] of TURNS.entries()) {
    const turn = index + 1;
    const depth = parent === null ? 1 : parent + 1;
    const running = status === 'in_progress';
    const [done, json] = running ? [null, null] : [3000, record];
    const places = running ? 1 : 2;
    insertTurn.run(turn, `t${turn}`, parent, parent, depth, 2 * depth - 2, places, status, done, json);
    const made = running ? [userMessage()] : [userMessage(), answerMessage()];
    for (const [output, item] of made.entries()) insertItem.run(turn, output, item.id, JSON.stringify(item));
    items.push(...made);
  }
  database.exec('INSERT INTO running_turns VALUES (1, 5)');
  database.close();
  return { location, session, items };
}

const TURNS: readonly (readonly [status: string, parent: number | null])[] = [
  ['completed', null],
  ['incomplete', 1],
  ['failed', 2],
  ['cancelled', 2],
  ['in_progress', 2],
];
