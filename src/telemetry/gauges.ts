/** What is not counted but read when somebody asks: how it stands with turns, targets and the process. */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { TargetState } from '../conversation/target-state.ts';
import { TARGET_LABELS } from './instruments.ts';
import type { ModelLabels } from './model-labels.ts';

export interface Readings {
  version: string;
  /** Turns that run in this process now. */
  runningTurns(): number;
  /** The known targets and how it stands with each. */
  targets(): readonly TargetState[];
  /** The configured providers, and whether each is in service. */
  providers(): readonly { name: string; inService: boolean }[];
  /** What servers share beside the store, and whether it can be reached. */
  shared(): readonly { part: string; isReached: boolean }[];
}

export interface Gauges {
  /** Ends what goes on between two readings. */
  close(): void;
}

const STATES: readonly TargetState['state'][] = ['closed', 'resting', 'open', 'half_open'];

/** How often the event loop's delay is looked at. A delay shorter than this may be missed, which harms nobody. */
const SAMPLE_MILLISECONDS = 20;

/** Registers all of them, which nobody else needs to hold; nothing is read before the registry is. */
export function createGauges(registry: Registry, readings: Readings, models: ModelLabels): Gauges {
  addServerGauges(registry, readings, models);
  addProviderGauge(registry, readings.providers);
  addSharedGauge(registry, readings.shared);
  addProcessGauges(registry, readings.version);
  return addEventLoopGauges(registry);
}

function addServerGauges(registry: Registry, readings: Readings, models: ModelLabels): void {
  registry.registerMetric(
    new Gauge({
      name: 'parley_turns_running',
      help: 'Turns that run now.',
      registers: [],
      collect() {
        this.set(readings.runningTurns());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'parley_targets',
      help: 'Targets in this state: one or none, or any number where several models share the label other.',
      labelNames: [...TARGET_LABELS, 'state'] as const,
      registers: [],
      collect() {
        // Targets that nobody has asked for long are forgotten.
        this.reset();
        for (const { provider, model, state } of readings.targets()) {
          const target = { gen_ai_provider_name: provider, gen_ai_request_model: models.of(model) };
          for (const one of STATES) this.inc({ ...target, state: one }, one === state ? 1 : 0);
        }
      },
    }),
  );
}

function addProviderGauge(registry: Registry, providers: Readings['providers']): void {
  registry.registerMetric(
    new Gauge({
      name: 'parley_provider_in_service',
      aggregator: 'min',
      help: 'Whether the provider is in service: 0 where an operator has stopped it.',
      labelNames: ['gen_ai_provider_name'] as const,
      registers: [],
      collect() {
        for (const { name, inService } of providers())
          this.set({ gen_ai_provider_name: name }, inService ? 1 : 0);
      },
    }),
  );
}

function addSharedGauge(registry: Registry, shared: Readings['shared']): void {
  registry.registerMetric(
    new Gauge({
      name: 'parley_shared_reached',
      aggregator: 'min',
      help: 'Whether what servers share beside the store can be reached: limits, and the exchange of notices.',
      labelNames: ['part'] as const,
      registers: [],
      collect() {
        for (const { part, isReached } of shared()) this.set({ part }, isReached ? 1 : 0);
      },
    }),
  );
}

function addProcessGauges(registry: Registry, version: string): void {
  const build = new Gauge({
    name: 'parley_build_info',
    aggregator: 'first',
    help: 'Always 1; the versions of Parley and of Node are in the labels.',
    labelNames: ['version', 'node_version'] as const,
    registers: [registry],
  });
  build.set({ version, node_version: process.version }, 1);
  registry.registerMetric(
    new Gauge({
      name: 'parley_uptime_seconds',
      aggregator: 'max',
      help: 'Seconds since the process started.',
      registers: [],
      collect() {
        this.set(process.uptime());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'process_resident_memory_bytes',
      help: 'Memory that the process occupies.',
      registers: [],
      collect() {
        this.set(process.memoryUsage.rss());
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: 'process_cpu_seconds_total',
      help: 'Processor time that the process has used, in user and system mode.',
      registers: [],
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    }),
  );
}

/** Each reading tells of the time since the one before. */
function addEventLoopGauges(registry: Registry): Gauges {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MILLISECONDS });
  delay.enable();
  registry.registerMetric(
    new Gauge({
      name: 'parley_event_loop_delay_seconds',
      aggregator: 'max',
      help: 'How late the event loop was since the reading before: p50, p99 and max.',
      labelNames: ['statistic'] as const,
      registers: [],
      collect() {
        const { count } = delay;
        const values = { p50: delay.percentile(50), p99: delay.percentile(99), max: delay.max };
        for (const [statistic, nanoseconds] of Object.entries(values)) {
          // The time from one look to the next is told, of which the sample's own time is no delay.
          const late = nanoseconds / 1e9 - SAMPLE_MILLISECONDS / 1e3;
          this.set({ statistic }, count === 0 ? 0 : Math.max(0, late));
        }
        delay.reset();
      },
    }),
  );
  return { close: () => delay.disable() };
}
