/**
 * A campaign of blows: servers that are killed at random moments of their turns and started again, clients that go
 * on regardless, and at the end a look at whether every promise was kept. On SQLite each server stands for itself, on an
 * engine that servers share three of them stand together. Asserts nothing; it reports.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeParley, startParley } from '../acceptance/parley-process.ts';
import { type SharedEngineName, startEngine } from '../shared-engine.ts';
import { startFleet } from './fleet.ts';
import { MOMENTS } from './moments.ts';
import { startMortalServer } from './mortal-server.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';
import { besiege, type SiegeReport } from './siege.ts';

export interface CampaignReport {
  seed: number;
  blows: number;
  /** Each a server, or several that share a store. */
  sieges: number;
  /** How many blows there were of each kind. */
  suffered: Readonly<Record<string, number>>;
  /** How many blows waited for which moment. */
  moments: Readonly<Record<string, number>>;
  /** What was done, in words, with its number. */
  done: Readonly<Record<string, number>>;
  /** The promises that were broken, one sentence each. */
  violations: readonly string[];
}

export type CampaignStore = 'sqlite' | SharedEngineName;

export interface CampaignOptions {
  store: CampaignStore;
  blows: number;
  /** The same seed draws the same blows; when they land depends on the machine. */
  seed: number;
}

/** Servers on SQLite, side by side: enough to keep two cores busy while others wait for their start. */
const SERVERS = 4;

/** Runs it to the end. Rejects if a server does not start again. */
export async function runCampaign({ store, blows, seed }: CampaignOptions): Promise<CampaignReport> {
  const random = createSeededRandom(seed);
  const cache = await mkdtemp(join(tmpdir(), 'parley-crash-cache-'));
  try {
    await fillCompileCache(cache);
    const env = { NODE_COMPILE_CACHE: cache };
    const reports =
      store === 'sqlite'
        ? await besiegeServers(blows, random, env)
        : [await besiegeFleet(store, blows, random, env)];
    return {
      seed,
      blows,
      sieges: reports.length,
      suffered: summed(reports.map(({ suffered }) => suffered)),
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

/** Several servers, each on a file of its own, share the blows. */
function besiegeServers(
  blows: number,
  random: SeededRandom,
  env: Record<string, string>,
): Promise<SiegeReport[]> {
  const count = Math.min(SERVERS, blows);
  return settled(
    Array.from({ length: count }, (_, index) =>
      besiege({
        name: `server-${index}`,
        blows: Math.floor((blows + index) / count),
        random: random.branch(),
        start: (settings) => startMortalServer({ ...settings, ...env }),
      }),
    ),
  );
}

async function besiegeFleet(
  store: SharedEngineName,
  blows: number,
  random: SeededRandom,
  env: Record<string, string>,
): Promise<SiegeReport> {
  const engine = await startEngine(store);
  try {
    return await besiege({
      name: store,
      blows,
      random: random.branch(),
      start: (settings) => startFleet({ engine, env: { ...settings, ...env }, random: random.branch() }),
    });
  } finally {
    await engine.stop();
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
