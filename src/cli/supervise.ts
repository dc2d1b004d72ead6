/**
 * The process above several workers: it starts them, puts another in the place of one that dies, passes on what they ask
 * of each other, and ends them in order. It serves nobody itself; Node hands each connection to one of them.
 */

import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'pino';
import type { MetricsDump } from '../telemetry/metrics.ts';
import { EXIT_FAILURE, EXIT_SIGNAL } from './exit-codes.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

/** The pause before a worker that died is replaced, doubled while they die young, up to the longest. */
const FIRST_PAUSE_MILLISECONDS = 250;
const LONGEST_PAUSE_MILLISECONDS = 30_000;
/** Who lives this long has not died of how it was started. */
const YOUNG_MILLISECONDS = 10_000;
/** What a worker is waited for that does not tell its metrics. */
const METRICS_MILLISECONDS = 1000;

interface Question {
  asker: Worker;
  id: number;
  dumps: MetricsDump[];
  missing: Set<number>;
  timer: NodeJS.Timeout;
}

/** Returns at once; the process ends when the last worker has. */
export function supervise(count: number, log: Logger): void {
  const startedAt = new Map<number, number>();
  const questions = new Map<number, Question>();
  let asked = 0;
  /** How often one has begun to listen. */
  let listening = 0;
  let closing = false;
  let exitCode = 0;
  let pause = FIRST_PAUSE_MILLISECONDS;

  cluster.on('message', (worker, message: FromWorker) => hear(worker, message));
  cluster.on('exit', (worker, code, signal) => ended(worker, code, signal));
  process.on('SIGINT', close);
  process.on('SIGTERM', close);
  for (let number = 0; number < count; number += 1) start();

  function start(): void {
    startedAt.set(cluster.fork().id, performance.now());
  }

  function hear(worker: Worker, message: FromWorker): void {
    switch (message.kind) {
      case 'listening':
        listening += 1;
        if (listening === count) process.stdout.write(message.greeting);
        return;
      case 'ask-metrics':
        return ask(worker, message.id, message.dump);
      case 'metrics': {
        const question = questions.get(message.id);
        question?.dumps.push(message.dump);
        return told(message.id, worker.id);
      }
    }
  }

  function ask(asker: Worker, id: number, own: MetricsDump): void {
    asked += 1;
    const number = asked;
    const others = workers().filter((worker) => worker.id !== asker.id);
    const timer = setTimeout(answer, METRICS_MILLISECONDS, number);
    const missing = new Set(others.map((worker) => worker.id));
    questions.set(number, { asker, id, dumps: [own], missing, timer });
    for (const other of others) say(other, { kind: 'give-metrics', id: number });
    if (missing.size === 0) answer(number);
  }

  function told(number: number, workerId: number): void {
    const missing = questions.get(number)?.missing;
    missing?.delete(workerId);
    if (missing?.size === 0) answer(number);
  }

  function answer(number: number): void {
    const question = questions.get(number);
    if (question === undefined) return;
    questions.delete(number);
    clearTimeout(question.timer);
    say(question.asker, { kind: 'all-metrics', id: question.id, dumps: question.dumps });
  }

  function ended(worker: Worker, code: number, signal: string | null): void {
    const age = performance.now() - (startedAt.get(worker.id) ?? 0);
    startedAt.delete(worker.id);
    for (const number of questions.keys()) told(number, worker.id);
    if (closing) {
      exitCode ||= code === 0 ? 0 : EXIT_FAILURE;
    } else if (listening < count) {
      // What keeps the first from starting keeps the others as well, and it has said what it is.
      exitCode = code === 0 ? EXIT_FAILURE : code;
      end();
    } else {
      pause =
        age < YOUNG_MILLISECONDS ? Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS) : FIRST_PAUSE_MILLISECONDS;
      log.error({ worker: worker.id, code, signal, ms: pause }, 'a worker died and is replaced');
      setTimeout(() => {
        if (!closing) start();
      }, pause);
    }
    if (closing && workers().length === 0) process.exit(exitCode);
  }

  /** The first signal closes all of them in order, a second one ends them where they stand. */
  function close(signal: 'SIGINT' | 'SIGTERM'): void {
    if (closing) {
      for (const worker of workers()) worker.process.kill('SIGKILL');
      process.exit(EXIT_SIGNAL[signal]);
    }
    process.stdout.write(`${signal}: finishing running turns; a second signal ends at once\n`);
    end();
    if (workers().length === 0) process.exit(0);
  }

  function end(): void {
    closing = true;
    for (const worker of workers()) say(worker, { kind: 'close' });
  }
}

function workers(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}

function say(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message);
}
