/** The metrics in short, for people and scripts that want a few numbers: sums over what was counted. */

import type { Registry } from 'prom-client';
import type { FinalStatus } from '../conversation/turn.ts';

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

/** @param registry with the metrics of `instruments.ts` and `gauges.ts`, of one server or of several together */
export async function summarize(registry: Registry): Promise<MetricsSummary> {
  const sums = async (name: string, label: string) => sumsBy(await valuesOf(registry, name), label);
  const statuses = await sums('parley_http_requests_total', 'status');
  const { [NO_STATUS]: _unanswered, ...responses } = statuses;
  const errors = await sums('parley_http_errors_total', 'code');
  const turns = await sums('parley_turns_total', 'status');
  const [running] = await valuesOf(registry, 'parley_turns_running');
  const [uptime] = await valuesOf(registry, 'parley_uptime_seconds');
  const { completed = 0, incomplete = 0, failed = 0, cancelled = 0 } = turns;
  const { input = 0, output = 0, cached = 0, reasoning = 0 } = await sums('parley_tokens_total', 'kind');
  const { allowed = 0, denied = 0 } = await sums('parley_rate_limit_decisions_total', 'decision');
  return {
    uptime_seconds: Math.round(uptime?.value ?? 0),
    requests_total: total(statuses),
    responses_total: total(responses),
    errors_total: total(errors),
    requests_by_method: await sums('parley_http_requests_total', 'method'),
    responses_by_status: responses,
    errors_by_code: errors,
    request_latency_avg_ms: averageMilliseconds(
      await valuesOf(registry, 'parley_http_request_duration_seconds'),
    ),
    turns: {
      total: total(turns),
      running: running?.value ?? 0,
      by_status: { completed, incomplete, failed, cancelled },
    },
    tokens: { input, output, cached, reasoning },
    rate_limit: { allowed, denied },
    fallbacks_total: total(await sums('parley_fallbacks_total', 'to_provider')),
  };
}

interface Value {
  value: number;
  labels: Partial<Record<string, string | number>>;
  /** Of a histogram: which of its series. */
  metricName?: string;
}

async function valuesOf(registry: Registry, name: string): Promise<readonly Value[]> {
  const metric = registry.getSingleMetric(name);
  if (metric === undefined) throw new Error(`There is no metric ${name}.`);
  return (await metric.get()).values;
}

/** Values added up by the values of one label. */
function sumsBy(values: readonly Value[], label: string): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { labels, value } of values) {
    const name = String(labels[label]);
    sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}

function total(sums: Record<string, number>): number {
  return Object.values(sums).reduce((sum, value) => sum + value, 0);
}

function averageMilliseconds(values: readonly Value[]): number {
  let seconds = 0;
  let count = 0;
  for (const { metricName, value } of values) {
    if (metricName?.endsWith('_sum')) seconds += value;
    if (metricName?.endsWith('_count')) count += value;
  }
  return count === 0 ? 0 : Math.round((seconds / count) * 1e6) / 1e3;
}
