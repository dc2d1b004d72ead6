/** `parley serve`: starts the server, says what a newcomer wants to know, and ends it when told to. */

import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { ConfigError } from '../config/config-error.ts';
import { isShared } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type Parley, startParley } from '../main.ts';
import { createLog } from '../telemetry/log.ts';
import { EXIT_FAILURE, EXIT_SIGNAL } from './exit-codes.ts';
import { greeting, sayAtStart } from './greeting.ts';
import { readConfig, refuseConfig } from './read-config.ts';
import { releaseStartMemory } from './release-start-memory.ts';
import { supervise } from './supervise.ts';
import { work } from './worker.ts';

export async function serve(): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  const log = createLog(config.logLevel);
  if (cluster.worker !== undefined)
    return work(cluster.worker, config, log.child({ worker: cluster.worker.id }));
  const count = workerCount(config);
  if (count > 1) {
    releaseStartMemory();
    return supervise(count, log);
  }
  let parley: Parley;
  try {
    parley = await startParley(config, log);
  } catch (error) {
    if (error instanceof ConfigError) return refuseConfig(error);
    process.stderr.write(
      `parley could not start: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = EXIT_FAILURE;
    return;
  }
  releaseStartMemory();
  sayAtStart(parley, config, log);
  // Whoever reads the output may leave; the server stays.
  process.stdout.on('error', (error) => log.debug({ err: error }, 'standard output is closed'));
  // Before the greeting: whoever reads it may send a signal.
  closeOnSignal(parley);
  process.stdout.write(greeting(parley, config));
}

/** How many processes serve. A store that one process has for itself has one. */
function workerCount({ workers, databaseUrl }: Config): number {
  if (workers !== 'auto') return workers;
  return isShared(databaseUrl) ? availableParallelism() : 1;
}

/** The first signal closes the server in order, a second one ends it where it stands. */
function closeOnSignal(parley: Parley): void {
  let closing = false;
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    if (closing) process.exit(EXIT_SIGNAL[signal]);
    closing = true;
    process.stdout.write(`${signal}: finishing running turns; a second signal ends at once\n`);
    parley.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`closing failed: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}
