/** That operators who look for little, or for what is not there, do not make everybody wait. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TurnQuery } from '../admin-store.ts';
import { openPostgresStore } from '../postgres.ts';
import { begin, createdSession, ids, runTurn, sampleSession } from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();

const ALL: TurnQuery = {
  limit: 100,
  after: null,
  status: null,
  provider: null,
  owner: null,
  sessionId: null,
  since: null,
};
/** What one search looks at. */
const LOOKED_AT = 500;

test('one search for turns looks at a bounded number, and the next goes on behind them', {
  skip,
}, async (context) => {
  const store = await openPostgresStore(postgres.location(), PATIENT);
  context.after(() => store.close());
  const rare = await createdSession(store, { owner: 'rare' });
  const first = await runTurn(store, rare);
  const sessions = Array.from({ length: LOOKED_AT }, () => sampleSession({ owner: 'many' }));
  await Promise.all(sessions.map((session) => store.createSession(session)));
  const begun = await Promise.all(sessions.map((session) => begin(store, session)));
  const oldest = begun.map(({ turnId }) => turnId).toSorted()[0];

  const page = await store.admin.recentTurns({ ...ALL, owner: 'rare' });
  assert.deepEqual(page, { data: [], hasMore: true, lastId: oldest });
  const next = await store.admin.recentTurns({ ...ALL, owner: 'rare', after: page.lastId });
  assert.deepEqual([ids(next.data), next.hasMore], [[first], false]);
  // Nobody looks for the turns of one session among those of all others.
  const direct = await store.admin.recentTurns({ ...ALL, sessionId: rare.id });
  assert.deepEqual([ids(direct.data), direct.hasMore], [[first], false]);
});

test('so does one search for sessions, where many were deleted and are not swept yet', {
  skip,
}, async (context) => {
  const store = await openPostgresStore(postgres.location(), PATIENT);
  context.after(() => store.close());
  const first = await createdSession(store);
  const sessions = Array.from({ length: LOOKED_AT }, () => sampleSession());
  await Promise.all(sessions.map((session) => store.createSession(session)));
  await Promise.all(sessions.map(({ owner, id }) => store.deleteSession(owner, id)));
  const page = await store.admin.allSessions({ limit: 10, after: null, order: 'desc' });
  assert.deepEqual(page, { data: [], hasMore: true, lastId: sessions[0]!.id });
  const next = await store.admin.allSessions({ limit: 10, after: page.lastId, order: 'desc' });
  assert.deepEqual([ids(next.data), next.hasMore], [[first.id], false]);
});
