/** Closing, one thing after another, each timed: what took long, or failed, is in the log. */

import type { Logger } from 'pino';

export interface Phase {
  /** What is closed, for the log. */
  name: string;
  close(): Promise<unknown>;
}

/**
 * Runs the phases in their order. One that fails keeps none of the others from running; the failures are thrown
 * together at the end.
 */
export async function closeInPhases(
  phases: readonly Phase[],
  log: Pick<Logger, 'info' | 'error'>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const [index, { name, close }] of phases.entries()) {
    const startedAt = performance.now();
    const phase = { phase: index + 1, of: phases.length, name };
    const milliseconds = () => Math.round(performance.now() - startedAt);
    try {
      await close();
      log.info({ ...phase, ms: milliseconds() }, 'closed');
    } catch (error) {
      failures.push(error);
      log.error({ ...phase, ms: milliseconds(), err: error }, 'could not be closed');
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything could be closed');
}
