/** `npm run crash -- --kills N [--store S] [--seed S]`: a campaign of blows, and a table of what was done and found. */

import { parseArgs } from 'node:util';
import { SHARED_ENGINES } from '../shared-engine.ts';
import { type CampaignOptions, type CampaignReport, type CampaignStore, runCampaign } from './campaign.ts';

const USAGE = 'Usage: npm run crash -- [--kills N] [--store sqlite|redis|postgres] [--seed S]';

/** As many as `npm test` does. */
const KILLS = 200;
const STORES: readonly CampaignStore[] = ['sqlite', ...SHARED_ENGINES];

try {
  const report = await runCampaign(options());
  process.stdout.write(table(report));
  if (report.violations.length > 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function options(): CampaignOptions {
  const { values } = parseArgs({
    options: { kills: { type: 'string' }, store: { type: 'string' }, seed: { type: 'string' } },
  });
  const store = STORES.find((name) => name === (values.store ?? 'sqlite'));
  if (store === undefined) throw new Error(`--store must be one of ${STORES.join(', ')}.\n${USAGE}`);
  const blows = whole('kills', values.kills ?? String(KILLS));
  const seed = whole('seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 32)));
  if (blows === 0) throw new Error(`--kills must be at least 1.\n${USAGE}`);
  // Told before anything is done, so that a campaign that hangs can be had again.
  process.stdout.write(`${blows} blows on ${store}, seed ${seed}\n`);
  return { store, blows, seed };
}

function whole(name: string, value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number))
    throw new Error(`--${name} must be a whole number, not "${value}".\n${USAGE}`);
  return number;
}

function table({ sieges, suffered, moments, done, violations }: CampaignReport): string {
  const rows = [
    ['sieges', sieges],
    ...Object.entries(suffered),
    ...Object.entries(moments).map(([moment, count]) => [`blows after "${moment}"`, count]),
    ...Object.entries(done),
    ['promises broken', violations.length],
  ];
  const width = Math.max(...rows.map(([name]) => String(name).length));
  const lines = rows.map(([name, count]) => `${String(name).padEnd(width)}  ${String(count).padStart(7)}\n`);
  return [...lines, ...violations.map((violation) => `BROKEN ${violation}\n`)].join('');
}
