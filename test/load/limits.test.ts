/** The limits under a load: every address is let through as often as the arithmetic of its bucket allows. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeParley, startParley } from '../acceptance/parley-process.ts';
import { runLimitedLoad } from './limited-load.ts';

test('a thousand addresses at once get what they may have, give or take one request', async (context) => {
  const load = { rate: 1000, seconds: 5, identities: 1000, rps: 0.2, burst: 2, seed: 1 };
  const parley = await startParley({
    DATABASE_URL: 'memory:',
    LOG_LEVEL: 'warn',
    TRUST_PROXY: '1',
    RATE_RPS: String(load.rps),
    RATE_BURST: String(load.burst),
  });
  context.after(() => removeParley(parley));
  const { differences, ...counts } = await runLimitedLoad(parley.url, load);
  assert.equal(counts.failed, 0);
  assert.equal(counts.sent, load.rate * load.seconds);
  // As many as would have been denied and allowed by chance would prove nothing.
  assert.ok(counts.allowed > load.identities && counts.denied > load.identities, JSON.stringify(counts));
  for (const difference of differences.keys()) assert.ok(Math.abs(difference) <= 1, `${difference}`);
  assert.ok((differences.get(0) ?? 0) > load.identities * 0.9, 'nearly all of them exactly');
});
