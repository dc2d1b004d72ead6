/** Schemas: made by one of many servers, kept apart, and refused where they are not ours to touch. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPostgresStore } from '../postgres.ts';
import { createdSession, OWNER, runTurn, userMessage } from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';
import { SCHEMA_VERSION } from './schema.ts';

const postgres = await testPostgres();

const schemaOf = (location: string) => new URL(location).searchParams.get('schema')!;

test('of many servers that start at once on an empty database, each finds it ready', { skip }, async () => {
  const location = postgres.location();
  const stores = await Promise.all(Array.from({ length: 5 }, () => openPostgresStore(location, PATIENT)));
  const session = await createdSession(stores[0]!);
  for (const store of stores) await runTurn(store, session);
  await Promise.all(stores.map((store) => store.close()));
});

test('a database that is up to date is opened without writing to it', { skip }, async (context) => {
  const location = postgres.location();
  const first = await openPostgresStore(location, PATIENT);
  const session = await createdSession(first);
  await first.close();
  const readOnly = `${location}&options=${encodeURIComponent('-c default_transaction_read_only=on')}`;
  const store = await openPostgresStore(readOnly, PATIENT);
  context.after(() => store.close());
  assert.deepEqual(await store.getSession(OWNER, session.id), session);
  await assert.rejects(store.ping(), { code: 'store_unavailable' });
  await assert.rejects(
    openPostgresStore(`${postgres.location()}&options=-c%20default_transaction_read_only%3Don`, PATIENT),
    /read-only/,
  );
});

test('schemas of one database are stores of their own', { skip }, async () => {
  const [one, other] = [
    await openPostgresStore(postgres.location(), PATIENT),
    await openPostgresStore(postgres.location(), PATIENT),
  ];
  const session = await createdSession(one);
  assert.equal(await other.getSession(OWNER, session.id), null);
  await other.createSession(session);
  await Promise.all([one.close(), other.close()]);
});

test('a role that may not make schemas uses the one that was made for it', { skip }, async () => {
  const location = postgres.location().replace('parley@', 'modest@');
  await postgres.execute(
    `CREATE ROLE modest LOGIN; CREATE SCHEMA ${schemaOf(location)} AUTHORIZATION modest`,
  );
  const store = await openPostgresStore(location, PATIENT);
  await runTurn(store, await createdSession(store));
  await store.close();
  const another = postgres.location().replace('parley@', 'modest@');
  await assert.rejects(openPostgresStore(another, PATIENT), /permission denied for database/);
});

test("a newer Parley's schema is refused", { skip }, async () => {
  const location = postgres.location();
  await (await openPostgresStore(location, PATIENT)).close();
  await postgres.execute(`UPDATE ${schemaOf(location)}.parley_version SET version = ${SCHEMA_VERSION + 1}`);
  await assert.rejects(openPostgresStore(location, PATIENT), /was written by a newer Parley/);
});

test("a schema with somebody else's tables is refused, and left as it was", { skip }, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  await postgres.execute(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.sessions (id integer)`);
  await assert.rejects(openPostgresStore(location, PATIENT), /holds tables that are not Parley's/);
  const tables = await postgres.execute(`SELECT tablename FROM pg_tables WHERE schemaname = '${schema}'`);
  assert.deepEqual(tables, [{ tablename: 'sessions' }]);
});

test('a schema of version 1 keeps its conversations, of which items can be deleted and listed', {
  skip,
}, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  const old = await openPostgresStore(location, PATIENT);
  const session = await createdSession(old);
  const input = [userMessage()];
  await runTurn(old, session, { input });
  await old.close();
  // What version 2 has added.
  await postgres.execute(
    `DROP FUNCTION ${schema}.turns_with_1, ${schema}.delete_item_1, ${schema}.list_items_2`,
  );
  await postgres.execute(`UPDATE ${schema}.parley_version SET version = 1`);
  const store = await openPostgresStore(location, PATIENT);
  assert.equal(await store.deleteItem(OWNER, session.id, input[0]!.id), true);
  const page = await store.listItems(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
  assert.equal(page!.data.length, 1);
  await store.close();
});

test('a migration that fails leaves the version before', { skip }, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  // A function of ours is there already, and its replacement is none.
  await postgres.execute(
    `CREATE SCHEMA ${schema}; CREATE FUNCTION ${schema}.detach_session_1(p bigint) RETURNS void LANGUAGE sql AS ''`,
  );
  await assert.rejects(openPostgresStore(location, PATIENT), /already exists/);
  const tables = await postgres.execute(`SELECT tablename FROM pg_tables WHERE schemaname = '${schema}'`);
  assert.deepEqual(tables, []);
  await postgres.execute(`DROP FUNCTION ${schema}.detach_session_1`);
  await (await openPostgresStore(location, PATIENT)).close();
});
