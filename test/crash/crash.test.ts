/** 200 kills at random moments: nothing that was acknowledged is lost, doubled, changed or out of order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCampaign } from './campaign.ts';

const KILLS = 200;
/** What is broken once is often broken everywhere. */
const SHOWN_VIOLATIONS = 20;

test(`every promise holds through ${KILLS} kills`, { timeout: 600_000 }, async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const again = `npm run crash -- --kills ${KILLS} --seed ${seed}`;
  const report = await runCampaign({ store: 'sqlite', blows: KILLS, seed }).catch((error: unknown) => {
    throw new Error(`the campaign could not go on; to have it again: ${again}`, { cause: error });
  });
  for (const [what, count] of Object.entries(report.done)) context.diagnostic(`${what}: ${count}`);
  const { violations } = report;
  const shown = [...violations.slice(0, SHOWN_VIOLATIONS), `to have it again: ${again}`];
  assert.equal(violations.length, 0, shown.join('\n'));
  // A campaign in which nothing was under way when the server died would prove nothing.
  assert.ok(count('messages acknowledged') >= KILLS, 'clients were answered between the kills');
  assert.ok(count('requests broken') >= KILLS / 2, 'kills hit requests that were under way');
  assert.ok(count('streams broken') > 0, 'kills hit answers that were being streamed');

  function count(what: string): number {
    return report.done[what] ?? 0;
  }
});
