/**
 * `npm run load -- [--rate N] [--seconds N] [--identities N]`: a load on the limits of a server of its own, and how far
 * each address is from what the arithmetic allows it. Ends with 1 if one is further than a request.
 */

import { parseArgs } from 'node:util';
import { removeParley, startParley } from '../acceptance/parley-process.ts';
import { runLimitedLoad } from './limited-load.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '30' },
    identities: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
  },
});
const load = {
  rate: Number(values.rate),
  seconds: Number(values.seconds),
  identities: Number(values.identities),
  seed: Number(values.seed),
  rps: 0.1,
  burst: 2,
};
const parley = await startParley({
  DATABASE_URL: 'memory:',
  LOG_LEVEL: 'warn',
  TRUST_PROXY: '1',
  RATE_RPS: String(load.rps),
  RATE_BURST: String(load.burst),
});
try {
  const { differences, ...counts } = await runLimitedLoad([parley.url], load);
  for (const [name, value] of Object.entries({ ...load, ...counts })) print(name, value);
  for (const [difference, identities] of [...differences].toSorted(([one], [other]) => one - other)) {
    print(`addresses with ${difference} more than allowed`, identities);
  }
  const isExact = [...differences.keys()].every((difference) => Math.abs(difference) <= 1);
  if (!isExact || counts.failed > 0) process.exitCode = 1;
} finally {
  await removeParley(parley);
}

function print(name: string, value: number): void {
  process.stdout.write(`${name.padEnd(40)}${value}\n`);
}
