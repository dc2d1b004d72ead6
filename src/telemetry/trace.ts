/**
 * Traces: a span for each request, turn, attempt, call of a tool and step of the store, each part of what it was done for. Rooms are
 * wrapped, and know nothing of it. Where no traces are wanted, nothing is wrapped: `NO_TRACING` gives everything back
 * as it is. Sending them is `trace-export.ts`.
 */

import { context, type Tracer, trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { type TracedProvider, traceAttempts } from './trace-attempts.ts';
import { type ArrivedRequest, type RequestTrace, traceRequests } from './trace-requests.ts';
import { traceStore } from './trace-store.ts';
import { type TracedToolboxes, traceTools } from './trace-tools.ts';
import { type AroundTurn, traceTurns } from './trace-turns.ts';

export interface Tracing {
  /** The same store, each call of which is a span. */
  store<Store extends object>(store: Store): Store;
  /** The same provider, each attempt of which is a span. */
  provider<Provider extends TracedProvider>(provider: Provider): Provider;
  /** The same tools, each call of which is a span. */
  tools<Toolboxes extends TracedToolboxes>(toolboxes: Toolboxes): Toolboxes;
  /** Runs each turn in a span; null where turns are to run as they are. */
  readonly aroundTurn: AroundTurn | null;
  /** Begins the span of a request; null where requests have none. */
  readonly beginRequest: ((request: ArrivedRequest) => RequestTrace) | null;
  /** The log whose lines name the trace that is going on, if one is. */
  log(log: Logger): Logger;
  /** Sends what is left, as far as that can be done in a short time. Never rejects. */
  close(): Promise<void>;
}

export const NO_TRACING: Tracing = {
  store: (store) => store,
  provider: (provider) => provider,
  tools: (toolboxes) => toolboxes,
  aroundTurn: null,
  beginRequest: null,
  log: (log) => log,
  close: async () => undefined,
};

/**
 * Traces made by this tracer. A context manager must be there for spans to find what they are part of.
 * @param captureContents whether spans hold what is said in conversations
 * @param close sends what is left
 */
export function createTracing(tracer: Tracer, captureContents: boolean, close: () => Promise<void>): Tracing {
  return {
    store: (store) => traceStore(store, tracer),
    provider: (provider) => traceAttempts(provider, tracer, captureContents),
    tools: (toolboxes) => traceTools(toolboxes, tracer),
    aroundTurn: traceTurns(tracer),
    beginRequest: traceRequests(tracer),
    log(log) {
      const span = trace.getSpan(context.active());
      return span === undefined ? log : log.child({ trace_id: span.spanContext().traceId });
    },
    close,
  };
}
