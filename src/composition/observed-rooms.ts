/** Rooms as they are watched: the same contracts, with what the log, the metrics and the traces want to know of them. */

import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { currentRequestId } from '../http/request-scope.ts';
import type { HttpMetrics } from '../http/rooms.ts';
import type { Slots } from '../limits/slots.ts';
import type { OpenedStore } from '../stores/admin-store.ts';
import { logAudit, logOutages } from '../telemetry/log.ts';
import { type Metrics, type MetricsDump, togetherOf } from '../telemetry/metrics.ts';
import { observeChanges } from '../telemetry/observe-changes.ts';
import { observeOutages } from '../telemetry/observe-outages.ts';
import { observeStore } from '../telemetry/observe-store.ts';
import { NO_TRACING, type Tracing } from '../telemetry/trace.ts';
import { startTracing } from '../telemetry/trace-export.ts';

/** Traces as the configuration wants them; none without an endpoint. */
export async function openTracing(config: Config, version: string, log: Logger): Promise<Tracing> {
  const endpoint = config.otelExporterOtlpEndpoint;
  if (endpoint === null) return NO_TRACING;
  const options = {
    endpoint,
    headers: config.otelExporterOtlpHeaders,
    serviceName: config.otelServiceName,
    version,
    sampleRatio: config.otelTracesSamplerArg,
    captureContents: config.otelInstrumentationGenaiCaptureMessageContent,
  };
  return startTracing(options, log);
}

/**
 * The same store, whose calls are timed and traced. Changes by operators each have a line in the log, and outages one
 * when they begin and one when they are over.
 */
export function observedStore(
  store: OpenedStore,
  { metrics, tracing, log }: { metrics: Metrics | null; tracing: Tracing; log: Logger },
): OpenedStore {
  const watched = observeOutages(store, logOutages(log));
  const logged = observeChanges(watched.admin, (entry) => logAudit(log, entry, currentRequestId()));
  const traced: OpenedStore = tracing.store({ ...watched, admin: tracing.store(logged) });
  if (metrics === null) return traced;
  const { storeCall } = metrics;
  return { ...observeStore(traced, storeCall), admin: observeStore(traced.admin, storeCall) };
}

/** Other processes that serve on the same port. */
export interface Peers {
  /** What all of them have counted, with what this one has. */
  metricsOfAll(own: MetricsDump): Promise<readonly MetricsDump[]>;
}

/** Metrics that count what this process does and tell of all: whoever asks reaches one of them by chance. */
export function metricsOfAll(metrics: Metrics, peers: Peers): HttpMetrics {
  const together = async () => togetherOf(await peers.metricsOfAll(await metrics.dump()));
  return {
    request: metrics.request,
    text: async () => (await together()).text(),
    json: async () => (await together()).json(),
  };
}

/** The same slots, whose refusals are counted with those of the other limits. */
export function observedSlots(slots: Slots, metrics: Metrics | null): Slots {
  return {
    async take(identity, most) {
      const slot = await slots.take(identity, most);
      if (slot === null) metrics?.rateLimit({ allowed: false, limit: 'concurrent_turns' });
      return slot;
    },
  };
}
