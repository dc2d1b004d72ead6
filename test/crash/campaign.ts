/**
 * A campaign of kills: servers that are killed at random moments of their turns and started again, clients that go
 * on regardless, and at the end a look at whether every promise was kept. Asserts nothing; it reports.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeParley, startParley } from '../acceptance/parley-process.ts';
import { MOMENTS } from './moments.ts';
import { createSeededRandom } from './seeded-random.ts';
import { besiege, type SiegeReport } from './siege.ts';

export interface CampaignReport {
  seed: number;
  kills: number;
  servers: number;
  /** How many kills waited for which moment. */
  moments: Readonly<Record<string, number>>;
  /** What was done, in words, with its number. */
  done: Readonly<Record<string, number>>;
  /** The promises that were broken, one sentence each. */
  violations: readonly string[];
}

export interface CampaignOptions {
  kills: number;
  /** The same seed draws the same blows; when they land depends on the machine. */
  seed: number;
  /** How many servers share the kills, side by side. */
  servers?: number;
}

/** Enough to keep two cores busy while others wait for their start. */
const SERVERS = 4;

/** Runs it to the end. Rejects if a server does not start again. */
export async function runCampaign({
  kills,
  seed,
  servers = SERVERS,
}: CampaignOptions): Promise<CampaignReport> {
  const random = createSeededRandom(seed);
  const cache = await mkdtemp(join(tmpdir(), 'parley-crash-cache-'));
  try {
    await fillCompileCache(cache);
    const sieges = Array.from({ length: Math.min(servers, kills) }, (_, index) =>
      besiege({
        name: `server-${index}`,
        kills: Math.floor((kills + index) / Math.min(servers, kills)),
        random: random.branch(),
        env: { NODE_COMPILE_CACHE: cache },
      }),
    );
    const reports = await settled(sieges);
    return {
      seed,
      kills,
      servers: sieges.length,
      moments: Object.fromEntries(
        MOMENTS.map((moment) => [moment, sum(reports, ({ moments }) => moments[moment])]),
      ),
      done: summed(reports.map(({ done }) => done)),
      violations: reports.flatMap(({ violations }) => violations),
    };
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

/** A killed server leaves no compiled code behind, so that one which ends in peace has to do it for all. */
async function fillCompileCache(directory: string): Promise<void> {
  const parley = await startParley({ LOG_LEVEL: 'warn', NODE_COMPILE_CACHE: directory });
  await parley.stop('SIGTERM');
  await removeParley(parley);
}

/** Waits for all, so that none goes on behind the failure of another. */
async function settled(sieges: readonly Promise<SiegeReport>[]): Promise<SiegeReport[]> {
  await Promise.allSettled(sieges);
  return Promise.all(sieges);
}

function sum<Element>(list: readonly Element[], number: (element: Element) => number): number {
  return list.reduce((total, element) => total + number(element), 0);
}

function summed(list: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = new Set(list.flatMap((element) => Object.keys(element)));
  return Object.fromEntries([...names].map((name) => [name, sum(list, (element) => element[name] ?? 0)]));
}
