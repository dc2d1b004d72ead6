/** Spans kept in the process of the test, which must be the only one there that makes any. */

import { context, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

export interface SpanRecorder {
  readonly tracer: Tracer;
  /** The spans that have ended since this was asked last, in the order of their end. */
  take(): ReadableSpan[];
}

/** @param sampler which spans are kept; left out, all of them */
export function recordSpans(sampler?: Sampler): SpanRecorder {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    ...(sampler === undefined ? {} : { sampler }),
  });
  return {
    tracer: provider.getTracer('test'),
    take() {
      const spans = [...exporter.getFinishedSpans()];
      exporter.reset();
      return spans;
    },
  };
}
