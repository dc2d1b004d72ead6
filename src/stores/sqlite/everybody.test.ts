/** That operators who look for little, or for what is not there, do not make everybody wait. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { firstIdAt } from '../../conversation/id.ts';
import type { TurnQuery } from '../admin-store.ts';
import { openMemoryStore } from '../sqlite.ts';
import {
  begin,
  createdSession,
  ids,
  runTurn,
  sampleSession,
  sampleTurns,
} from '../store-samples.contract.ts';
import { LOOKED_AT } from './search.ts';

const ALL: TurnQuery = {
  limit: 100,
  after: null,
  status: null,
  provider: null,
  owner: null,
  sessionId: null,
  since: null,
};

function opened(context: TestContext) {
  const store = openMemoryStore();
  context.after(() => store.close());
  return store;
}

test('one search for turns looks at a bounded number, and the next goes on behind them', async (context) => {
  const store = opened(context);
  const rare = await createdSession(store, { owner: 'rare' });
  const first = await runTurn(store, rare);
  const sessions = Array.from({ length: LOOKED_AT }, () => sampleSession({ owner: 'many' }));
  await Promise.all(sessions.map((session) => store.createSession(session)));
  const turns: string[] = [];
  for (const session of sessions) turns.push((await begin(store, session)).turnId);

  const page = await store.admin.recentTurns({ ...ALL, owner: 'rare' });
  assert.deepEqual(page, { data: [], hasMore: true, lastId: turns[0] });
  const next = await store.admin.recentTurns({ ...ALL, owner: 'rare', after: page.lastId });
  assert.deepEqual([ids(next.data), next.hasMore], [[first], false]);
  // Nobody looks for the turns of one session among those of all others.
  const direct = await store.admin.recentTurns({ ...ALL, sessionId: rare.id });
  assert.deepEqual([ids(direct.data), direct.hasMore], [[first], false]);
});

test('so does one search for sessions, where many were deleted and are not swept yet', async (context) => {
  const store = opened(context);
  const first = await createdSession(store);
  const sessions = Array.from({ length: LOOKED_AT }, () => sampleSession());
  await Promise.all(sessions.map((session) => store.createSession(session)));
  await Promise.all(sessions.map(({ owner, id }) => store.deleteSession(owner, id)));
  const page = await store.admin.allSessions({ limit: 10, after: null, order: 'desc' });
  assert.deepEqual(page, { data: [], hasMore: true, lastId: sessions[0]!.id });
  const next = await store.admin.allSessions({ limit: 10, after: page.lastId, order: 'desc' });
  assert.deepEqual([ids(next.data), next.hasMore], [[first.id], false]);
});

test('a search within a session ends where its turns are too old', async (context) => {
  const store = opened(context);
  const session = await createdSession(store);
  const turns = Array.from({ length: LOOKED_AT + 1 }, (_, index) => ({
    ...sampleTurns(1)[0]!,
    id: firstIdAt(1_000_000 + index),
    createdAt: 1_000_000 + index,
  }));
  const fork = sampleSession({ headTurnId: turns.at(-1)!.id });
  await store.createSession(fork, turns);
  const now = Date.now();
  const newest = await runTurn(store, fork, { createdAt: now });
  await runTurn(store, session, { createdAt: now });
  const page = await store.admin.recentTurns({ ...ALL, sessionId: fork.id, since: now });
  assert.deepEqual([ids(page.data), page.hasMore], [[newest], false]);
  const whole = await store.admin.recentTurns({ ...ALL, sessionId: fork.id, status: 'failed' });
  assert.deepEqual([ids(whole.data), whole.hasMore], [[], true]);
});
