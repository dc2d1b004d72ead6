/** Blows at random moments: nothing that was acknowledged is lost, doubled, changed or out of order, and nobody is stuck. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SHARED_ENGINES, skipWithoutEngine } from '../shared-engine.ts';
import { type CampaignStore, runCampaign } from './campaign.ts';

/** Forty at each of the moments in a turn's life, over four servers. */
const KILLS = 200;
/** Against three servers that share a store; each takes two seconds or more, and every fourth is a pair. All kinds come. */
const BLOWS = 12;
/** What is broken once is often broken everywhere. */
const SHOWN_VIOLATIONS = 20;

test(`every promise holds through ${KILLS} kills`, { timeout: 600_000 }, (context) =>
  campaign(context, 'sqlite', KILLS),
);

for (const engine of SHARED_ENGINES) {
  const what = `every promise holds through ${BLOWS} blows against three servers on ${engine}`;
  test(what, { timeout: 300_000, skip: skipWithoutEngine(engine) }, (context) =>
    campaign(context, engine, BLOWS),
  );
}

async function campaign(context: TestContext, store: CampaignStore, blows: number): Promise<void> {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const again = `npm run crash -- --kills ${blows} --store ${store} --seed ${seed}`;
  const report = await runCampaign({ store, blows, seed }).catch((error: unknown) => {
    throw new Error(`the campaign could not go on; to have it again: ${again}`, { cause: error });
  });
  for (const [what, count] of Object.entries(report.done)) context.diagnostic(`${what}: ${count}`);
  const { violations } = report;
  const shown = [...violations.slice(0, SHOWN_VIOLATIONS), `to have it again: ${again}`];
  assert.equal(violations.length, 0, shown.join('\n'));
  // A campaign in which nothing was under way at a blow would prove nothing.
  assert.ok(count('messages acknowledged') >= blows, 'clients were answered between the blows');
  assert.ok(
    count('requests broken') + count('requests refused') >= blows / 2,
    'blows hit requests that were under way',
  );
  assert.ok(count('streams broken') > 0, 'blows hit answers that were being streamed');

  function count(what: string): number {
    return report.done[what] ?? 0;
  }
}
