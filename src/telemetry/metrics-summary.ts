/** The metrics in short, for people and scripts that want a few numbers: sums over what was counted. */

import type { Counter } from 'prom-client';
import type { FinalStatus } from '../conversation/turn.ts';
import type { Instruments } from './instruments.ts';

export interface MetricsSummary {
  uptime_seconds: number;
  /** Requests that are over. */
  requests_total: number;
  /** Those of them whose answer began before the client left. */
  responses_total: number;
  /** Those of them that were answered with an error. */
  errors_total: number;
  requests_by_method: Record<string, number>;
  responses_by_status: Record<string, number>;
  errors_by_code: Record<string, number>;
  /** Zero before the first one. */
  request_latency_avg_ms: number;
  turns: { total: number; running: number; by_status: Record<FinalStatus, number> };
  tokens: { input: number; output: number; cached: number; reasoning: number };
  rate_limit: { allowed: number; denied: number };
  fallbacks_total: number;
}

/** Where the client left before the answer began. */
export const NO_STATUS = 'none';

/** @param runningTurns of this moment */
export async function summarize(
  instruments: Instruments,
  runningTurns: () => number,
): Promise<MetricsSummary> {
  const statuses = await sums(instruments.requests, 'status');
  const { [NO_STATUS]: _unanswered, ...responses } = statuses;
  const errors = await sums(instruments.errors, 'code');
  const turns = await sums(instruments.turns, 'status');
  const { completed = 0, incomplete = 0, failed = 0, cancelled = 0 } = turns;
  const { input = 0, output = 0, cached = 0, reasoning = 0 } = await sums(instruments.tokens, 'kind');
  const { allowed = 0, denied = 0 } = await sums(instruments.rateLimits, 'decision');
  return {
    uptime_seconds: Math.round(process.uptime()),
    requests_total: total(statuses),
    responses_total: total(responses),
    errors_total: total(errors),
    requests_by_method: await sums(instruments.requests, 'method'),
    responses_by_status: responses,
    errors_by_code: errors,
    request_latency_avg_ms: await averageMilliseconds(instruments),
    turns: {
      total: total(turns),
      running: runningTurns(),
      by_status: { completed, incomplete, failed, cancelled },
    },
    tokens: { input, output, cached, reasoning },
    rate_limit: { allowed, denied },
    fallbacks_total: total(await sums(instruments.fallbacks, 'to_provider')),
  };
}

/** The counter's values, added up by the values of one label. */
async function sums<Label extends string>(
  counter: Counter<Label>,
  label: Label,
): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const { labels, value } of (await counter.get()).values) {
    const name = String(labels[label]);
    sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}

function total(sums: Record<string, number>): number {
  return Object.values(sums).reduce((sum, value) => sum + value, 0);
}

async function averageMilliseconds({ requestSeconds }: Instruments): Promise<number> {
  let seconds = 0;
  let count = 0;
  for (const { metricName, value } of (await requestSeconds.get()).values) {
    if (metricName?.endsWith('_sum')) seconds += value;
    if (metricName?.endsWith('_count')) count += value;
  }
  return count === 0 ? 0 : Math.round((seconds / count) * 1e6) / 1e3;
}
