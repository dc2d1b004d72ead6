/** `npm run crash -- --kills N [--seed S]`: a campaign of kills, and a table of what was done and found. */

import { parseArgs } from 'node:util';
import { type CampaignReport, runCampaign } from './campaign.ts';

const USAGE = 'Usage: npm run crash -- [--kills N] [--seed S]';

/** As many as `npm test` does. */
const KILLS = 200;

try {
  const report = await runCampaign(options());
  process.stdout.write(table(report));
  if (report.violations.length > 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function options(): { kills: number; seed: number } {
  const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' } } });
  const kills = whole('kills', values.kills ?? String(KILLS));
  const seed = whole('seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 32)));
  if (kills === 0) throw new Error(`--kills must be at least 1.\n${USAGE}`);
  // Told before anything is done, so that a campaign that hangs can be had again.
  process.stdout.write(`${kills} kills, seed ${seed}\n`);
  return { kills, seed };
}

function whole(name: string, value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number))
    throw new Error(`--${name} must be a whole number, not "${value}".\n${USAGE}`);
  return number;
}

function table({ servers, moments, done, violations }: CampaignReport): string {
  const rows = [
    ['servers', servers],
    ...Object.entries(moments).map(([moment, count]) => [`kills after "${moment}"`, count]),
    ...Object.entries(done),
    ['promises broken', violations.length],
  ];
  const width = Math.max(...rows.map(([name]) => String(name).length));
  const lines = rows.map(([name, count]) => `${String(name).padEnd(width)}  ${String(count).padStart(7)}\n`);
  return [...lines, ...violations.map((violation) => `BROKEN ${violation}\n`)].join('');
}
