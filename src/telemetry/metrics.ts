/**
 * The metrics: what the rooms tell of what they do, as numbers. Names and labels are those of `docs/metrics.md`.
 * What a conversation says, keys and ids are never part of them, and no number of clients, sessions or models makes
 * them grow without bound.
 */

import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue, Registry } from 'prom-client';
import type { TargetState } from '../conversation/target-state.ts';
import type { Turn } from '../conversation/turn.ts';
import { createGauges, type Readings } from './gauges.ts';
import { createInstruments } from './instruments.ts';
import { type MetricsSummary, NO_STATUS, summarize } from './metrics-summary.ts';
import { createModelLabels } from './model-labels.ts';
import type { StoreCall } from './observe-store.ts';
import { countTurn } from './turn-metrics.ts';

export interface MetricsOptions extends Readings {
  /** The models of the configuration, which are told apart whether or not they ever answer. */
  models: Iterable<string>;
}

export interface Metrics {
  /** A request is over. */
  request(request: FinishedRequest): void;
  /** A request was held against the limits. */
  rateLimit(decision: LimitDecision): void;
  /** A turn is over. */
  turn(turn: Turn): void;
  /** The state of a target has changed. */
  targetState(state: TargetState): void;
  storeCall(call: StoreCall): void;
  /** All of it, in the text format of Prometheus. */
  text(): Promise<{ contentType: string; body: string }>;
  /** In short. */
  json(): Promise<MetricsSummary>;
  /** All of it as data, which can be sent to another process and put together with that of others. */
  dump(): Promise<MetricsDump>;
  /** Nothing is measured any more. */
  close(): void;
}

export type MetricsDump = readonly MetricObjectWithValues<MetricValue<string>>[];

/** What `Metrics` tells, of several servers together. */
export function togetherOf(dumps: readonly MetricsDump[]): Pick<Metrics, 'text' | 'json'> {
  return told(AggregatorRegistry.aggregate([...dumps] as object[]));
}

function told(registry: Registry): Pick<Metrics, 'text' | 'json'> {
  return {
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    json: () => summarize(registry),
  };
}

export interface FinishedRequest {
  method: string;
  /** The pattern of the route, never a path; null where there is none. */
  route: string | null;
  /** Null where the client left before the answer began. */
  status: number | null;
  /** Of the error, if it was answered with one. */
  code: string | null;
  seconds: number;
}

export interface LimitDecision {
  allowed: boolean;
  /** What has denied the request. */
  limit: string | null;
}

/** Keeps a registry of its own, so that servers in one process do not count for one another. */
export function createMetrics({ models: configured, ...readings }: MetricsOptions): Metrics {
  const registry = new Registry();
  const models = createModelLabels(configured);
  const instruments = createInstruments(registry);
  const gauges = createGauges(registry, readings, models);
  return {
    request,
    rateLimit({ allowed, limit }) {
      const decision = allowed ? 'allowed' : 'denied';
      instruments.rateLimits.inc(allowed || limit === null ? { decision } : { decision, limit });
    },
    turn: (turn) => countTurn(instruments, models, turn),
    targetState({ provider, model, state }) {
      const target = { gen_ai_provider_name: provider, gen_ai_request_model: models.of(model) };
      instruments.targetStateChanges.inc({ ...target, state });
    },
    storeCall({ method, seconds, ok }) {
      instruments.storeSeconds.observe({ method, outcome: ok ? 'ok' : 'failed' }, seconds);
    },
    ...told(registry),
    dump: () => registry.getMetricsAsJSON(),
    close: () => gauges.close(),
  };

  function request({ method, route: pattern, status, code, seconds }: FinishedRequest): void {
    const route = pattern ?? 'unknown';
    instruments.requests.inc({ method, route, status: status ?? NO_STATUS });
    instruments.requestSeconds.observe({ method, route }, seconds);
    if (code !== null) instruments.errors.inc({ code });
  }
}
