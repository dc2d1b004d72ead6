/** One of several workers: a server on the port that all of them share. It is closed by the process that has started it. */

import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'pino';
import { ConfigError } from '../config/config-error.ts';
import type { Config } from '../config/schema.ts';
import { type Parley, startParley } from '../main.ts';
import type { MetricsDump } from '../telemetry/metrics.ts';
import { EXIT_CONFIG, EXIT_FAILURE } from './exit-codes.ts';
import { greeting, sayAtStart } from './greeting.ts';
import { refuseConfig } from './read-config.ts';
import { releaseStartMemory } from './release-start-memory.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

/** What a worker that does not answer is waited for, when metrics are put together. */
const METRICS_MILLISECONDS = 2000;

export async function work(worker: Worker, config: Config, log: Logger): Promise<void> {
  const asked = new Map<number, (dumps: readonly MetricsDump[]) => void>();
  let questions = 0;
  const started = Promise.withResolvers<Parley>();
  const close = onceClosing(started.promise);
  // Before it starts: it may be told to end while it does.
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'close') close();
    else if (message.kind === 'all-metrics') asked.get(message.id)?.(message.dumps);
    else void tellMetrics(message.id);
  });
  process.on('disconnect', close);
  process.on('SIGTERM', close);
  // A terminal sends it to all processes; which of them ends when is for the one that has started them.
  process.on('SIGINT', () => undefined);
  try {
    const parley = await startParley(config, log, { metricsOfAll });
    releaseStartMemory();
    // What concerns all of them is said by one.
    if (worker.id === 1) sayAtStart(parley, config, log);
    say({ kind: 'listening', greeting: greeting(parley, config) });
    started.resolve(parley);
  } catch (error) {
    if (error instanceof ConfigError) refuseConfig(error);
    else
      process.stderr.write(
        `parley could not start: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    process.exit(error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILURE);
  }

  async function tellMetrics(id: number): Promise<void> {
    const parley = await started.promise;
    say({ kind: 'metrics', id, dump: await parley.metrics() });
  }

  function metricsOfAll(own: MetricsDump): Promise<readonly MetricsDump[]> {
    questions += 1;
    const id = questions;
    const { promise, resolve } = Promise.withResolvers<readonly MetricsDump[]>();
    const timer = setTimeout(resolve, METRICS_MILLISECONDS, [own]);
    asked.set(id, resolve);
    say({ kind: 'ask-metrics', id, dump: own });
    return promise.finally(() => {
      clearTimeout(timer);
      asked.delete(id);
    });
  }
}

function say(message: FromWorker): void {
  if (cluster.worker?.isConnected() === true) process.send?.(message);
}

function onceClosing(started: Promise<Parley>): () => void {
  let closing = false;
  return () => {
    if (closing) return;
    closing = true;
    started
      .then((parley) => parley.close())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`closing failed: ${String(error)}\n`);
          process.exit(EXIT_FAILURE);
        },
      );
  };
}
