/**
 * A load on a server's limits: many addresses that ask at random, at a steady rate in all, and for each of them how
 * often it was let through beside how often the arithmetic of its bucket allows. Speed is not its business: whatever
 * time the answers take, the arithmetic is that of the times at which they came.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { Pool } from 'undici';
import { createSeededRandom } from '../crash/seeded-random.ts';

export interface LimitedLoad {
  /** Requests a second, in all. */
  rate: number;
  seconds: number;
  /** Addresses that ask. */
  identities: number;
  /** Of each address's bucket, as the server has it. */
  rps: number;
  burst: number;
  seed: number;
}

export interface LoadReport {
  sent: number;
  allowed: number;
  denied: number;
  /** Neither allowed nor denied. */
  failed: number;
  /** Identities by how many requests more (or, below 0, fewer) than the arithmetic allows were let through. */
  differences: Map<number, number>;
}

interface Take {
  at: number;
  allowed: boolean;
}

/** Requests are sent in bursts this far apart: timers keep no smaller distances. */
const TICK_MILLISECONDS = 10;

/** @param urls of servers that share their limits and trust one proxy's word about addresses; each is asked at random */
export async function runLimitedLoad(urls: readonly string[], load: LimitedLoad): Promise<LoadReport> {
  const random = createSeededRandom(load.seed);
  const pools = urls.map((url) => new Pool(url, { connections: 64 }));
  const takes = new Map<number, Take[]>();
  const report: LoadReport = { sent: 0, allowed: 0, denied: 0, failed: 0, differences: new Map() };
  const underWay: Promise<void>[] = [];
  const begunAt = performance.now();
  for (;;) {
    const elapsed = Math.min(performance.now() - begunAt, load.seconds * 1000);
    while (report.sent < (elapsed / 1000) * load.rate) {
      report.sent += 1;
      const pool = pools[random.integer(0, pools.length - 1)] as Pool;
      underWay.push(ask(pool, random.integer(0, load.identities - 1)));
    }
    if (elapsed >= load.seconds * 1000) break;
    await pause(TICK_MILLISECONDS);
  }
  await Promise.all(underWay);
  await Promise.all(pools.map((pool) => pool.close()));
  for (const one of takes.values()) {
    const difference = one.filter(({ allowed }) => allowed).length - allowedBy(load, one);
    report.differences.set(difference, (report.differences.get(difference) ?? 0) + 1);
  }
  return report;

  async function ask(pool: Pool, identity: number): Promise<void> {
    const headers = { 'x-forwarded-for': addressOf(identity) };
    const { statusCode, body } = await pool.request({ method: 'GET', path: '/sessions?limit=1', headers });
    await body.dump();
    if (statusCode !== 200 && statusCode !== 429) {
      report.failed += 1;
      return;
    }
    const allowed = statusCode === 200;
    report[allowed ? 'allowed' : 'denied'] += 1;
    const known = takes.get(identity) ?? [];
    known.push({ at: performance.now(), allowed });
    takes.set(identity, known);
  }
}

/** How many of requests at these times a bucket that was full lets through. */
function allowedBy({ rps, burst }: LimitedLoad, takes: readonly Take[]): number {
  let tokens = burst;
  let before = takes[0]?.at ?? 0;
  let allowed = 0;
  for (const { at } of takes) {
    tokens = Math.min(burst, tokens + ((at - before) / 1000) * rps);
    before = at;
    if (tokens < 1) continue;
    tokens -= 1;
    allowed += 1;
  }
  return allowed;
}

/** IPv4 addresses, and IPv6 networks of one customer each. */
function addressOf(identity: number): string {
  const [high, low] = [identity >> 8, identity & 0xff];
  return identity % 2 === 0 ? `10.1.${high}.${low}` : `2001:db8:${high}:${low}::${low + 1}`;
}
