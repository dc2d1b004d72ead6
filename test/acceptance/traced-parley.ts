/** A server that sends its traces to the test, with two providers played by one double. */

import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type CollectedSpan, startTraceCollector, type TraceCollector } from '../trace-collector.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

export interface TracedParley {
  readonly url: string;
  readonly parley: ParleyProcess;
  /** Plays `alpha`, which is asked first, and `beta`, its fallback; their models are `model-a` and `model-b`. */
  readonly double: ProviderDouble;
  readonly collector: TraceCollector;
  /** Stops the server, which sends what it has, and gives all spans. */
  spans(): Promise<CollectedSpan[]>;
}

/** Starts one that ends with the test. */
export async function startTracedParley(
  context: { after(work: () => Promise<void>): void },
  env: Record<string, string> = {},
): Promise<TracedParley> {
  const double = await startProviderDouble();
  context.after(() => double.close());
  const collector = await startTraceCollector();
  context.after(() => collector.close());
  const providers = [
    { name: 'alpha', base_url: double.url, model: 'model-a', api_key: 'KEY-of-alpha-0001' },
    { name: 'beta', base_url: double.url, model: 'model-b', api_key: 'KEY-of-beta-0002' },
  ];
  const parley = await startParleyWithYaml(
    { providers, fallback_providers: ['beta'] },
    { DATABASE_URL: 'memory:', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env },
  );
  context.after(() => removeParley(parley));
  return {
    url: parley.url,
    parley,
    double,
    collector,
    async spans() {
      await parley.stop();
      return collector.spans();
    },
  };
}
