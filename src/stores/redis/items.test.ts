/** Deleting items from conversations that are looked through in several steps. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipWithoutRedis, startRedis } from '../../../test/redis-server.ts';
import { openRedisStore } from '../redis.ts';
import { ids, OWNER, sampleSession, sampleTurns, userMessage } from '../store-samples.contract.ts';

test('an item is found in every part of a long conversation, and goes from all of them', {
  skip: skipWithoutRedis,
}, async (context) => {
  const redis = await startRedis();
  context.after(() => redis.stop());
  const store = await openRedisStore(redis.url());
  context.after(() => store.close());
  const shared = userMessage();
  const turns = sampleTurns(450).map((turn, index) =>
    [0, 199, 200, 449].includes(index) ? { ...turn, input: [shared] } : turn,
  );
  const session = sampleSession({ headTurnId: turns.at(-1)!.id });
  await store.createSession(session, turns);
  assert.equal(await store.deleteItem(OWNER, session.id, shared.id), true);
  const page = { limit: 1000, after: null, order: 'asc' } as const;
  const listed = await store.listItems(OWNER, session.id, page);
  assert.equal(listed!.data.length, 900 - 4);
  assert.ok(!ids(listed!.data.map(({ item }) => item)).includes(shared.id));
  assert.equal(await store.deleteItem(OWNER, session.id, shared.id), false);
});
