/** How SQLite means to run the store's statements: by an index each, none by scanning a table. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { userMessage } from '../store-samples.contract.ts';
import { createSqliteAdmin } from './admin.ts';
import { type Database, openDatabase } from './database.ts';
import { createGroupCommit } from './group-commit.ts';
import { createSqliteKeys } from './keys.ts';
import { createSqlitePaths } from './paths.ts';
import { migrate } from './schema.ts';
import { createSqliteSessions } from './sessions.ts';
import { createSqliteSweep } from './sweep.ts';
import { createSqliteTurns } from './turns.ts';

/** Scans that are meant: of rows that the query itself has just made, and of the turns that a crash left. */
const MEANT_SCAN = /^SCAN (path|climb|running_turns|oldest)$/;
/** What operators keep is read whole, or from one end, in the order of its key. */
const MEANT_LIST =
  /^SELECT [\w, ]+ FROM (api_keys ORDER BY id|bypass ORDER BY network|known_tools ORDER BY key|stopped_providers ORDER BY provider|(clients|audit_log) +ORDER BY id (A|DE)SC LIMIT \?)$/;

test('no statement scans a table, and every index has a use', (context) => {
  const { database, statements } = setUp(context);
  const used = new Set<string>();
  for (const sql of statements) {
    const steps = database.prepare<[number, number, number, string]>(`EXPLAIN QUERY PLAN ${sql}`).all();
    for (const [, , , step] of steps) {
      // One page of items is sorted: a path is read newest first, and a page may be asked oldest first.
      const sortsPage = sql.includes('i.placed = 1') && step === 'USE TEMP B-TREE FOR ORDER BY';
      const isList = MEANT_LIST.test(sql) && /^SCAN \w+$/.test(step);
      if (!sortsPage && !isList && !MEANT_SCAN.test(step))
        assert.doesNotMatch(step, /^SCAN|TEMP B-TREE|AUTOMATIC/, sql);
      const index = / INDEX (?<name>[a-z]\w+)/.exec(step)?.groups?.['name'];
      if (index !== undefined && !index.startsWith('sqlite_')) used.add(index);
    }
  }
  const expected = [
    'api_keys_by_client',
    'items_by_id',
    'items_by_turn',
    'session_keys_by_expiry',
    'session_keys_by_session',
    'session_metadata_by_pair',
    'sessions_by_expiry',
    'sessions_by_owner',
    'turn_keys_by_expiry',
    'turns_by_session',
  ];
  assert.deepEqual([...used].sort(), expected);
  const declared = database
    .prepare<[string]>(
      "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    )
    .all();
  assert.deepEqual(declared.flat(), expected);
});

test('any ancestor is reached in few steps', (context) => {
  const { database, statements, turns } = setUp(context);
  database.execute(
    "INSERT INTO sessions (id, owner, created_at, updated_at, settings) VALUES ('s', 'o', 0, 0, '{}')",
  );
  const count = 2000;
  for (let turn = 1, parent: number | null = null; turn <= count; turn += 1) {
    parent = turns.begin(1, turns.withSequence(parent), {
      id: `t${turn}`,
      input: [userMessage()],
      createdAt: 0,
    });
    database.execute('DELETE FROM running_turns');
  }
  const climbs = [...statements].filter((sql) => sql.includes('FROM climb WHERE'));
  assert.equal(climbs.length, 2);
  for (const sql of climbs) {
    // The same recursion; counted is each turn that it visits.
    const recursion = sql.slice(0, sql.lastIndexOf('SELECT'));
    const visits = database.prepare<[number]>(`${recursion} SELECT count(*) FROM climb`);
    let longest = 0;
    for (let target = 1; target < count; target += 1) {
      longest = Math.max(longest, visits.get(count, target)![0]);
    }
    // Myers proves fewer than three times the logarithm to base two; the first and the last turn are visited too.
    assert.ok(longest > 2 && longest <= 3 * Math.log2(count) + 2, `${longest} visits: ${sql}`);
  }
});

/** A database with every statement of the store prepared, and their texts. */
function setUp(context: TestContext) {
  const database = openDatabase(':memory:');
  context.after(() => database.close());
  migrate(database);
  const statements = new Set<string>();
  const recording: Database = {
    ...database,
    prepare(sql) {
      statements.add(sql);
      return database.prepare(sql);
    },
  };
  const sessions = createSqliteSessions(recording);
  for (const metadata of [{}, { a: '1' }, { a: '1', b: '2' }]) {
    for (const after of [null, 'x']) {
      for (const order of ['asc', 'desc'] as const) {
        sessions.list({ owner: 'o', metadata, after, order, limit: 1 });
      }
    }
  }
  const turns = createSqliteTurns(recording);
  createSqlitePaths(recording);
  createSqliteKeys(recording);
  createSqliteSweep(recording, sessions.detach);
  createSqliteAdmin(recording, createGroupCommit(recording, null), sessions.remove);
  return { database, statements, turns };
}
