/**
 * Traces sent to a collector, by OTLP over HTTP. OpenTelemetry's SDK is loaded here alone, and only when somebody
 * wants traces. All of its settings are given to it; its own reading of the environment is not relied upon.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { context, propagation } from '@opentelemetry/api';
import type { BatchSpanProcessorOptions, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import { createTracing, type Tracing } from './trace.ts';

export interface TracingOptions {
  /** The URL before `/v1/traces`. */
  endpoint: string;
  /** Sent with traces, as `name=value`. */
  headers: readonly string[];
  serviceName: string;
  version: string;
  /** Of the traces that begin here, from 0 to 1. Those of callers are kept as the caller says. */
  sampleRatio: number;
  /** Whether spans hold what is said in conversations. */
  captureContents: boolean;
}

/** For one batch with its repetitions, in milliseconds. */
const EXPORT_MILLISECONDS = 10_000;

/** For what is left when the server closes, in milliseconds: a collector that is there takes it in far less. */
const FLUSH_MILLISECONDS = 3000;

/** Spans that wait to be sent, and those sent at once. Beyond that they are dropped. */
const QUEUE = { maxQueueSize: 2048, maxExportBatchSize: 512 };

/** With contents a span may be a hundred times as large, and collectors refuse bodies of some megabytes. */
const QUEUE_WITH_CONTENTS = { maxQueueSize: 1024, maxExportBatchSize: 64 };

/**
 * Starts to make traces and to send them: one such at a time in a process, as contexts and headers are its own.
 * Rejects with an `Error` for the operator if the SDK is not installed.
 */
export async function startTracing(
  options: TracingOptions,
  log: Pick<Logger, 'info' | 'warn'>,
): Promise<Tracing> {
  const { core, hooks, otlp, resources, sdk } = await loadSdk();
  const health = createHealth(log);
  const exporter = new otlp.OTLPTraceExporter({
    url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: headersOf(options.headers),
    timeoutMillis: EXPORT_MILLISECONDS,
  });
  const queue: Omit<BatchSpanProcessorOptions, 'exporter'> = options.captureContents
    ? QUEUE_WITH_CONTENTS
    : QUEUE;
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes({
      'service.name': options.serviceName,
      'service.version': options.version,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(options.sampleRatio) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ ...queue, exporter: watched(exporter, health) })],
  });
  context.setGlobalContextManager(new hooks.AsyncLocalStorageContextManager().enable());
  // Of what callers send, the trace alone is taken; baggage is not.
  propagation.setGlobalPropagator(new core.W3CTraceContextPropagator());
  return createTracing(provider.getTracer('parley', options.version), options.captureContents, close);

  async function close(): Promise<void> {
    const stopped = new AbortController();
    const sent = provider.shutdown().then(
      () => undefined,
      // What could not be sent has been told of already.
      () => undefined,
    );
    const late = pause(FLUSH_MILLISECONDS, 'late', { signal: stopped.signal }).catch(() => undefined);
    if ((await Promise.race([sent, late])) === 'late') health.failed('not sent before the server closed');
    stopped.abort();
    context.disable();
    propagation.disable();
  }
}

/** Optional peers of the package: most servers send no traces, and need not have twenty megabytes for it. */
const SDK = [
  '@opentelemetry/context-async-hooks',
  '@opentelemetry/core',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/resources',
  '@opentelemetry/sdk-trace',
];

async function loadSdk() {
  try {
    const [core, hooks, otlp, resources, sdk] = await Promise.all([
      import('@opentelemetry/core'),
      import('@opentelemetry/context-async-hooks'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace'),
    ]);
    return { core, hooks, otlp, resources, sdk };
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND')) throw cause;
    throw new Error(
      'OTEL_EXPORTER_OTLP_ENDPOINT is set, but what sends traces is not installed. Install it beside Parley: ' +
        `npm install ${SDK.join(' ')}`,
      { cause },
    );
  }
}

function headersOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const end = pair.indexOf('=');
      return [pair.slice(0, end), pair.slice(end + 1)];
    }),
  );
}

interface Health {
  worked(): void;
  failed(reason: unknown): void;
}

/** Says once that traces are lost, and once that they are not any more. */
function createHealth(log: Pick<Logger, 'info' | 'warn'>): Health {
  let isDown = false;
  return {
    worked() {
      if (isDown) log.info('traces are sent again');
      isDown = false;
    },
    failed(reason) {
      if (!isDown)
        log.warn({ reason }, 'traces could not be sent and are lost, until they can be sent again');
      isDown = true;
    },
  };
}

function watched(exporter: SpanExporter, health: Health): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error === undefined) health.worked();
        else health.failed(reasonOf(result.error));
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

/** An HTTP status or a system's code. Not the error itself, which holds what the collector has answered. */
function reasonOf(error: Error): unknown {
  return 'code' in error && error.code !== undefined ? error.code : error.name;
}
