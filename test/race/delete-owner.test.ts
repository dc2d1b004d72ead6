/** An owner with very many sessions is deleted while the turns of another go on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOwnedSessions } from '../../src/clients/owned-sessions.ts';
import { openStore } from '../../src/stores/open-store.ts';
import { createdSession, runTurn, sampleSession } from '../../src/stores/store-samples.contract.ts';

const SESSIONS = 100_000;
/** Of the owner, in one step. */
const MOST_AT_ONCE = 100;

test('a hundred thousand sessions are deleted in small steps, and between them turns begin and end', async (context) => {
  const store = await openStore('memory:');
  context.after(() => store.close());
  const other = await createdSession(store, { owner: 'other' });
  for (let made = 0; made < SESSIONS; made += 10_000) {
    const some = Array.from({ length: 10_000 }, () => store.createSession(sampleSession({ owner: 'many' })));
    await Promise.all(some);
  }

  let batches = 0;
  /** Batches since a step of a turn, at the most. */
  let longest = 0;
  let since = 0;
  const owned = createOwnedSessions({
    adminStore: {
      ...store.admin,
      deleteSessions(owner, sessionIds, entry) {
        assert.ok(sessionIds.length <= MOST_AT_ONCE, `${sessionIds.length} at once`);
        batches += 1;
        since += 1;
        longest = Math.max(longest, since);
        return store.admin.deleteSessions(owner, sessionIds, entry);
      },
    },
    newest: async (owner, after, limit) =>
      (await store.listSessions({ owner, metadata: {}, after, limit, order: 'desc' })).data,
    onDeleted: () => undefined,
  });

  let turns = 0;
  let over = false;
  const running = (async () => {
    while (!over) {
      await runTurn(store, other);
      turns += 1;
      since = 0;
    }
  })();
  assert.equal(await owned.deleteAll('many'), SESSIONS);
  over = true;
  await running;
  assert.equal(batches, SESSIONS / MOST_AT_ONCE);
  // A turn is two steps of the store, and each comes between two batches.
  assert.ok(turns >= batches / 4, `${turns} turns during ${batches} batches`);
  assert.ok(longest <= 4, `${longest} batches without the end of a turn`);
  assert.equal(await store.admin.ownerOf(other.id), 'other');
});
