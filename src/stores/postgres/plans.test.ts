/**
 * How PostgreSQL runs the store's calls: what a turn reads does not grow with its session, nor with how many there are,
 * and every index has a use. Counted in rows and blocks, by the server.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleClient } from '../admin-store.contract.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { openPostgresStore } from '../postgres.ts';
import {
  begin,
  createdSession,
  OWNER,
  runTurn,
  sampleKey,
  sampleSession,
  sampleTurns,
} from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();
const schemaOf = (location: string) => new URL(location).searchParams.get('schema')!;

/** What the server has read of the tables so far. Processes hand in what they counted as they end, or when idle. */
async function reads(schema: string): Promise<{ scans: number; rows: number }> {
  const [row] = await postgres.execute(`
    SELECT sum(seq_scan)::integer AS scans, sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::integer AS rows
    FROM pg_stat_user_tables
    WHERE schemaname = '${schema}' AND relname IN
      ('sessions', 'turns', 'outcomes', 'placed_items', 'turn_keys', 'session_keys', 'session_metadata')`);
  return row as { scans: number; rows: number };
}

/** Of what the calls read on a connection of their own, whose count is whole when it has ended. */
async function counted(
  location: string,
  use: (store: Awaited<ReturnType<typeof openPostgresStore>>) => Promise<void>,
) {
  const schema = schemaOf(location);
  const before = await reads(schema);
  const store = await openPostgresStore(`${location}&connections=1`, PATIENT);
  await use(store);
  await store.close();
  for (;;) {
    const left = await postgres.execute(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'parley' AND backend_type = 'client backend'",
    );
    if (left.length === 0) break;
  }
  const after = await reads(schema);
  return { scans: after.scans - before.scans, rows: after.rows - before.rows };
}

test('a turn, a page and a look at the path read as much of a long session as of a short one', {
  skip,
}, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  const build = await openPostgresStore(location, PATIENT);
  const [short, long] = [20, 3000].map((count) => {
    const turns = sampleTurns(count);
    return { session: sampleSession({ headTurnId: turns.at(-1)!.id }), turns };
  });
  for (const { session, turns } of [short!, long!]) await build.createSession(session, turns);
  // Tables that are all but empty for the planner, as they are when it plans in a new server.
  for (const table of ['sessions', 'turns', 'outcomes', 'placed_items']) {
    await postgres.execute(
      `UPDATE pg_class SET relpages = 1, reltuples = 20 WHERE oid = '${schema}.${table}'::regclass`,
    );
  }
  await build.close();
  const read: number[] = [];
  for (const { session, turns } of [short!, long!]) {
    const { scans, rows } = await counted(location, async (store) => {
      const middle = turns[Math.floor(turns.length / 2)]!;
      for (const order of ['asc', 'desc'] as const) {
        await store.listItems(OWNER, session.id, { limit: 10, after: middle.output[0]!.id, order });
        await store.listTurns(OWNER, session.id, { limit: 5, after: middle.id, order });
      }
      const reach = { places: 10, defaultPlaces: 10, taken: 1 };
      for (const parentTurnId of [undefined, middle.id, undefined]) {
        await runTurn(store, session, { reach, parentTurnId, key: sampleKey() });
      }
      await store.readPath({ owner: OWNER, sessionId: session.id, turnId: middle.id, reach });
    });
    assert.equal(scans, 0);
    read.push(rows);
  }
  // Only climbing to a distant ancestor takes longer, by the logarithm of the distance.
  assert.ok(read[1]! <= read[0]! + 8 * Math.log2(3000), `${read.join(', ')} rows`);
});

test('what deletes an item finds all by indexes, in a server that has planned for small tables', {
  skip,
}, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  const build = await openPostgresStore(location, PATIENT);
  const turns = sampleTurns(500);
  const session = sampleSession({ headTurnId: turns.at(-1)!.id });
  await build.createSession(session, turns);
  await build.createSession(sampleSession());
  for (const table of ['sessions', 'turns', 'outcomes', 'placed_items']) {
    await postgres.execute(
      `UPDATE pg_class SET relpages = 1, reltuples = 20 WHERE oid = '${schema}.${table}'::regclass`,
    );
  }
  await build.close();
  const { scans, rows } = await counted(location, async (store) => {
    for (const { input } of turns.slice(0, 10)) {
      assert.equal(await store.deleteItem(OWNER, session.id, input[0]!.id), true);
    }
  });
  assert.equal(scans, 0);
  // Each looks through the session once; what it writes is found by its number.
  assert.ok(rows <= 10 * (2 * turns.length + 30), `${rows} rows`);
});

test('a sweep that finds nothing reads as much of many sessions as of none, however often it runs', {
  skip,
}, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  await (await openPostgresStore(location, PATIENT)).close();
  const [monthAgo, now, later] = [1e12 - 30 * 86_400_000, 1e12, 2e12];
  await postgres.execute(`
    INSERT INTO ${schema}.sessions (id, owner, created_at, updated_at, expires_at, settings)
      SELECT n::text, 'o', ${now}, ${now}, NULL, '{}' FROM generate_series(1, 5000) n;
    INSERT INTO ${schema}.turn_keys SELECT n, 'k', 'f', 1, ${later} FROM generate_series(1, 5000) n;
    INSERT INTO ${schema}.session_keys SELECT 'o', n::text, 'f', n, ${later} FROM generate_series(1, 5000) n;
    ANALYZE ${schema}.sessions, ${schema}.turn_keys, ${schema}.session_keys`);
  // From the sixth time on a connection may keep a plan that is made for any time, not for this one.
  const { scans, rows } = await counted(location, async (store) => {
    for (let sweeps = 0; sweeps < 12; sweeps += 1) await store.sweep(now, monthAgo);
  });
  assert.deepEqual({ scans, rows }, { scans: 0, rows: 0 });
});

test('every index has a use, beside those that keep keys apart', { skip }, async () => {
  const location = postgres.location();
  const schema = schemaOf(location);
  await counted(location, async (store) => {
    const metadata = { a: '1' };
    const key = sampleKey();
    const session = sampleSession({ metadata, ttlSeconds: 10 });
    await store.createSession(session, [], key);
    await runTurn(store, session, { key });
    await store.listSessions({ owner: OWNER, metadata: {}, limit: 9, after: null, order: 'asc' });
    await store.listSessions({ owner: OWNER, metadata, limit: 9, after: null, order: 'desc' });
    const items = await store.listItems(OWNER, session.id, { limit: 1, after: null, order: 'asc' });
    await store.listItems(OWNER, session.id, { limit: 1, after: items!.data[0]!.item.id, order: 'asc' });
    await begin(store, await createdSession(store));
    await store.sweep(1e12, 1e12);
    const client = sampleClient();
    await store.admin.saveClient(client, sampleEntry());
    await store.admin.deleteClient(client.id, 1, sampleEntry());
  });
  const unused = await postgres.execute(
    `SELECT indexrelname FROM pg_stat_user_indexes WHERE schemaname = '${schema}' AND idx_scan = 0
       AND indexrelid NOT IN (SELECT conindid FROM pg_constraint) ORDER BY 1`,
  );
  assert.deepEqual(
    unused.map(({ indexrelname }) => indexrelname),
    [],
  );
});
