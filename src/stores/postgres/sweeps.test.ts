/** Sweeps of several servers at once, of which each may come upon what another is at. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'pg';
import { openPostgresStore } from '../postgres.ts';
import {
  begin,
  createdSession,
  OWNER,
  sampleKey,
  sampleSession,
  sampleTurns,
  sweepAll,
} from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();

test('a sweep leaves everything to one that is not over yet, and waits for nothing of it', {
  skip,
}, async (context) => {
  const location = postgres.location();
  const store = await openPostgresStore(location, PATIENT);
  context.after(() => store.close());
  // Two deleted sessions: a long one, and one with a key that is over as well. Then one sweep is full of the first, and
  // has taken the second's key.
  const turns = sampleTurns(300);
  const long = sampleSession({ headTurnId: turns.at(-1)!.id });
  await store.createSession(long, turns);
  assert.equal(await store.deleteSession(OWNER, long.id), true);
  const short = await createdSession(store);
  await begin(store, short, { key: sampleKey({ expiresAt: 3000 }) });
  assert.equal(await store.deleteSession(OWNER, short.id), true);

  const other = new Client({ connectionString: postgres.url() });
  await other.connect();
  context.after(() => other.end());
  await other.query('BEGIN');
  const schema = new URL(location).searchParams.get('schema');
  const { rows } = await other.query(`SELECT more FROM "${schema}".sweep_1(4000, NULL)`);
  assert.deepEqual(rows, [{ more: true }]);
  assert.deepEqual(await store.sweep(4000, null), { sessions: 0, more: false });
  // What that one did not bring to an end is still there for the next.
  await other.query('ROLLBACK');
  assert.equal((await store.sweep(4000, null)).more, true);
  await sweepAll(store, 4000);
  const [left] = await postgres.execute(
    `SELECT (SELECT count(*) FROM "${schema}".sessions)::integer AS sessions,
       (SELECT count(*) FROM "${schema}".turns)::integer AS turns,
       (SELECT count(*) FROM "${schema}".turn_keys)::integer AS keys`,
  );
  assert.deepEqual(left, { sessions: 0, turns: 0, keys: 0 });
});
