/** The limits under a load: every address is let through as often as the arithmetic of its bucket allows. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeParley, startParley } from '../acceptance/parley-process.ts';
import { skipWithoutRedis, startRedis } from '../redis-server.ts';
import { type LimitedLoad, type LoadReport, runLimitedLoad } from './limited-load.ts';

const load: LimitedLoad = { rate: 1000, seconds: 5, identities: 1000, rps: 0.2, burst: 2, seed: 1 };
const env = {
  DATABASE_URL: 'memory:',
  LOG_LEVEL: 'warn',
  TRUST_PROXY: '1',
  RATE_RPS: String(load.rps),
  RATE_BURST: String(load.burst),
};

test('a thousand addresses at once get what they may have, give or take one request', async (context) => {
  const parley = await startParley(env);
  context.after(() => removeParley(parley));
  assertExact(load, await runLimitedLoad([parley.url], load));
});

test('so they do when they ask three servers on one Redis', { skip: skipWithoutRedis }, async (context) => {
  const redis = await startRedis();
  context.after(() => redis.stop());
  const REDIS_URL = redis.url();
  const servers = await Promise.all([1, 2, 3].map(() => startParley({ ...env, REDIS_URL })));
  context.after(() => Promise.all(servers.map(removeParley)));
  const shared = { ...load, rate: 600 };
  const report = await runLimitedLoad(
    servers.map(({ url }) => url),
    shared,
  );
  assertExact(shared, report);
  for (const server of servers) assert.deepEqual(server.logLines(), [], 'no outage of the limits');
});

function assertExact({ rate, seconds, identities }: LimitedLoad, report: LoadReport): void {
  const { differences, ...counts } = report;
  assert.equal(counts.failed, 0);
  assert.equal(counts.sent, rate * seconds);
  // As many as would have been denied and allowed by chance would prove nothing.
  assert.ok(counts.allowed > identities && counts.denied > identities / 2, JSON.stringify(counts));
  for (const difference of differences.keys()) assert.ok(Math.abs(difference) <= 1, `${difference}`);
  assert.ok((differences.get(0) ?? 0) > identities * 0.9, 'nearly all of them exactly');
}
