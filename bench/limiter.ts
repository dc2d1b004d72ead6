/**
 * `node --expose-gc bench/limiter.ts`: what the limiter in the process costs in time per take and in memory, under a
 * flood of addresses that each come once, and for one address that comes again and again. Prints a table and asserts
 * nothing.
 *
 * Options: --identities N, --places N (buckets that are remembered at once), --rate R (tokens a second; the default
 * is so slow that no bucket of the flood is full again before its end, which is the worst case).
 */

import { parseArgs } from 'node:util';
import { addressIdentity } from '../src/limits/identity.ts';
import { createInProcessLimiter } from '../src/limits/in-process.ts';

const { values } = parseArgs({
  options: {
    identities: { type: 'string', default: '1000000' },
    places: { type: 'string', default: '200000' },
    rate: { type: 'string', default: '0.001' },
  },
});
const identities = Number(values.identities);
const rate = Number(values.rate);

const MEGABYTE = 2 ** 20;

const limiter = createInProcessLimiter({ maxIdentities: Number(values.places) });
const before = megabytes();
const spelling = await microsecondsEach((index) => addressIdentity(addressOf(index)));
const flood = await microsecondsEach((index) => take(addressIdentity(addressOf(index))));
const after = megabytes();
const again = await microsecondsEach(() => take('203.0.113.7'));
console.table([
  { what: 'microseconds for the identity of an address', value: spelling },
  { what: 'microseconds for that and a take, each address once', value: flood },
  { what: 'microseconds for a take of one identity', value: again },
  { what: 'MB that are kept', value: after.kept - before.kept },
  { what: 'MB that the process grew by', value: after.resident - before.resident },
  { what: 'MB that the process has', value: after.resident },
]);

function take(identity: string): Promise<unknown> {
  return limiter.take([{ limit: 'address', identity, rate, burst: 5 }]);
}

async function microsecondsEach(work: (index: number) => unknown): Promise<number> {
  const start = performance.now();
  for (let index = 0; index < identities; index += 1) await work(index);
  return ((performance.now() - start) * 1000) / identities;
}

/** An address in a network of its own for each number. */
function addressOf(index: number): string {
  return `2001:db8:${(index >>> 16).toString(16)}:${(index & 0xffff).toString(16)}::1`;
}

function megabytes(): { kept: number; resident: number } {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { kept: (heapUsed + arrayBuffers) / MEGABYTE, resident: rss / MEGABYTE };
}
