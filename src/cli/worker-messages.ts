/** What the processes of a server with several workers say to each other. */

import type { MetricsDump } from '../telemetry/metrics.ts';

/** From a worker to the process that has started it. */
export type FromWorker =
  | { kind: 'listening'; greeting: string }
  /** Wants the metrics of all; its own are among them. */
  | { kind: 'ask-metrics'; id: number; dump: MetricsDump }
  | { kind: 'metrics'; id: number; dump: MetricsDump };

/** From that process to its workers. */
export type ToWorker =
  | { kind: 'close' }
  | { kind: 'give-metrics'; id: number }
  | { kind: 'all-metrics'; id: number; dumps: readonly MetricsDump[] };
