/** Deadlines of calls to Redis. What else can go wrong with a connection is shown by the stores and limits upon it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { openConnection } from './connection.ts';
import { parseRedisLocation } from './location.ts';

const TIMEOUT = 100;

describe('a connection to Redis', { skip: skipWithoutRedis }, () => {
  test('takes an answer that came in time, however late this process comes to read it', async (context) => {
    const redis = await startRedis();
    context.after(() => redis.stop());
    const connection = await openConnection(parseRedisLocation(redis.url()), TIMEOUT);
    context.after(() => connection.close());
    const answer = connection.send('key', ['PING']);
    // Sent, and then the process has no time for anything until the deadline is over.
    await new Promise(setImmediate);
    const busyUntil = performance.now() + 3 * TIMEOUT;
    while (performance.now() < busyUntil);
    assert.equal(await answer, 'PONG');
  });
});
