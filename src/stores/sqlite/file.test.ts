import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from '../sqlite.ts';
import {
  begin,
  OWNER,
  RESTARTED,
  runTurn,
  sampleSession,
  sampleTurns,
  WHOLE_PATH,
} from '../store-samples.contract.ts';
import { openDatabaseFile } from './file.ts';
import { temporaryDatabase } from './samples.contract.ts';
import { SCHEMA_VERSION } from './schema.ts';

test('everything is there after closing and opening again', async (context) => {
  const location = temporaryDatabase(context);
  const first = openSqliteStore(location);
  const session = sampleSession({ metadata: { a: '1' } });
  await first.createSession(session);
  const done = await runTurn(first, session);
  const left = await begin(first, session);
  const before = await first.getSession(OWNER, session.id);
  await first.close();

  const second = openSqliteStore(location);
  assert.deepEqual(await second.getSession(OWNER, session.id), before);
  assert.equal(await second.failInterrupted(RESTARTED, 9000), 1);
  assert.equal((await second.getTurn(OWNER, session.id, left.turnId))!.status, 'failed');
  assert.deepEqual((await begin(second, session)).parentId, done);
  await second.close();
});

test('the directory is made for this user alone, and closing leaves no log', async (context) => {
  const location = temporaryDatabase(context);
  const store = openSqliteStore(location);
  const directory = dirname(location);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.ok(readdirSync(directory).includes('parley.db-wal'));
  await store.close();
  assert.deepEqual(readdirSync(directory).sort(), ['parley.db', 'parley.db-lock']);
});

test('the connection is set up for shared syncs, and checkpoints by a worker', (context) => {
  const { database, close } = openDatabaseFile(temporaryDatabase(context));
  context.after(close);
  const value = (name: string) => database.prepare<[string | number]>(`PRAGMA ${name}`).get()![0];
  assert.deepEqual(
    ['journal_mode', 'synchronous', 'wal_autocheckpoint', 'foreign_keys', 'busy_timeout'].map(value),
    ['wal', 1, 0, 1, 0],
  );
});

test('a file in use is refused at once, also by another name, and free after closing', async (context) => {
  const location = temporaryDatabase(context);
  const store = openSqliteStore(location);
  const linked = join(dirname(location), 'linked.db');
  symlinkSync(location, linked);
  for (const name of [location, linked]) {
    assert.throws(() => openSqliteStore(name), /Another server is using .*parley\.db/);
  }
  await store.ping();
  await store.close();
  await openSqliteStore(linked).close();
});

test('a database without tables is brought from version 0 to the newest', async (context) => {
  const location = emptyDatabase(context);
  await openSqliteStore(location).close();
  assert.equal(pragma(location, 'user_version'), SCHEMA_VERSION);
  const tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('sessions', 'turns', 'items')";
  assert.equal(query(location, tables), 3);
  // Opening again migrates nothing, and works.
  await openSqliteStore(location).close();
});

test('a migration that fails leaves the database as it was', (context) => {
  const location = emptyDatabase(context, 'PRAGMA application_id = 0x50726c79; CREATE TABLE turns (a)');
  assert.throws(() => openSqliteStore(location), /turns already exists/);
  assert.equal(pragma(location, 'user_version'), 0);
  assert.equal(query(location, 'SELECT count(*) FROM sqlite_schema'), 1);
});

test('a database of a newer version is refused, and not touched', (context) => {
  const location = temporaryDatabase(context);
  openDatabaseFile(location).close();
  const newer = SCHEMA_VERSION + 1;
  run(location, `PRAGMA user_version = ${newer}`);
  const before = readFileSync(location);
  assert.throws(() => openSqliteStore(location), new RegExp(`newer Parley \\(database version ${newer}`));
  // The lock was released with the refusal, so the reason stays the same.
  assert.throws(() => openSqliteStore(location), /newer Parley/);
  assert.deepEqual(readFileSync(location), before);
});

test('a file that is not a Parley database is refused, and not touched', (context) => {
  const foreign = emptyDatabase(context, 'CREATE TABLE recipes (name TEXT)');
  const before = readFileSync(foreign);
  assert.throws(() => openSqliteStore(foreign), /not one of Parley's/);
  assert.deepEqual(readFileSync(foreign), before);
  const text = join(dirname(foreign), 'notes.txt');
  writeFileSync(text, 'Not a database. '.repeat(100));
  assert.throws(() => openSqliteStore(text), /notes\.txt is not an SQLite database/);
  assert.equal(readFileSync(text, 'utf8'), 'Not a database. '.repeat(100));
});

test('a conversation of 2,000 turns is forked in one step, and read only as far as asked', async (context) => {
  const store = openSqliteStore(temporaryDatabase(context));
  context.after(() => store.close());
  const turns = sampleTurns(2000);
  const session = sampleSession({ headTurnId: turns.at(-1)!.id });
  await store.createSession(session, turns);
  const whole = await store.readPath({
    owner: OWNER,
    sessionId: session.id,
    turnId: undefined,
    reach: WHOLE_PATH,
  });
  assert.deepEqual(
    whole!.path.map((turn) => turn.id),
    turns.map((turn) => turn.id).toReversed(),
  );
  const reach = { places: 20, defaultPlaces: 0, taken: 0 };
  assert.equal((await begin(store, session, { reach })).path.length, 10);
});

/** A database file with nothing, or only this, in it. */
function emptyDatabase(context: TestContext, sql = 'VACUUM'): string {
  const location = temporaryDatabase(context);
  mkdirSync(dirname(location));
  run(location, sql);
  return location;
}

function run(location: string, sql: string): void {
  const database = new DatabaseSync(location);
  database.exec(sql);
  database.close();
}

function query(location: string, sql: string): unknown {
  const database = new DatabaseSync(location);
  const row = database.prepare(sql).get();
  database.close();
  return Object.values(row!)[0];
}

function pragma(location: string, name: string): unknown {
  return query(location, `PRAGMA ${name}`);
}
