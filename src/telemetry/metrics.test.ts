import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { Registry } from 'prom-client';
import type { TargetState } from '../conversation/target-state.ts';
import { createGauges } from './gauges.ts';
import { createInstruments } from './instruments.ts';
import { createMetrics, type Metrics, type MetricsOptions } from './metrics.ts';
import { createModelLabels } from './model-labels.ts';

const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\| (.+) \|$/gm)].map(
  ([, name = '', kind, labels = '', help]) => ({
    name,
    kind,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    help,
  }),
);

const none = () => [];
const idle = { version: '1.2.3', runningTurns: () => 0, targets: none, providers: none, shared: none };

function start(context: TestContext, options: Partial<MetricsOptions> = {}): Metrics {
  const metrics = createMetrics({ ...idle, models: [], ...options });
  context.after(() => metrics.close());
  return metrics;
}

/** The lines of the text that begin so, without the comments. */
async function lines(metrics: Metrics, beginning: string): Promise<string[]> {
  const { body } = await metrics.text();
  return body.split('\n').filter((line) => line.startsWith(beginning));
}

const target = (provider: string, model: string, state: TargetState['state']): TargetState => ({
  provider,
  model,
  state,
  since: 0,
  until: null,
});

describe('docs/metrics.md', () => {
  it('has every metric of the registry and no other, with its kind, its labels and its words', (context) => {
    const registry = new Registry();
    createInstruments(registry);
    const gauges = createGauges(registry, idle, createModelLabels([]));
    context.after(() => gauges.close());
    const registered = (registry.getMetricsAsArray() as any[]).map(({ name, type, labelNames, help }) => ({
      name,
      kind: type,
      labels: [...labelNames],
      help,
    }));
    assert.deepEqual(rows, registered);
  });

  it('has every metric that is told', async (context) => {
    const { body } = await start(context).text();
    const told = [...body.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name, kind]);
    assert.deepEqual(
      told,
      rows.map(({ name, kind }) => [name, kind]),
    );
  });
});

describe('the metrics', () => {
  it('show which providers are in service', async (context) => {
    const providers = [
      { name: 'openai', inService: true },
      { name: 'local', inService: true },
    ];
    const metrics = start(context, { providers: () => providers });
    const openai = 'parley_provider_in_service{gen_ai_provider_name="openai"}';
    const local = 'parley_provider_in_service{gen_ai_provider_name="local"}';
    assert.deepEqual(await lines(metrics, 'parley_provider_in_service'), [`${openai} 1`, `${local} 1`]);
    providers[1]!.inService = false;
    assert.deepEqual(await lines(metrics, 'parley_provider_in_service'), [`${openai} 1`, `${local} 0`]);
  });

  it('show what servers share, and whether it can be reached', async (context) => {
    const shared = [{ part: 'limits', isReached: true }];
    const metrics = start(context, { shared: () => shared });
    assert.deepEqual(await lines(metrics, 'parley_shared_reached'), [
      'parley_shared_reached{part="limits"} 1',
    ]);
    shared[0]!.isReached = false;
    assert.deepEqual(await lines(metrics, 'parley_shared_reached'), [
      'parley_shared_reached{part="limits"} 0',
    ]);
  });

  it('count requests by route, status and code', async (context) => {
    const metrics = start(context);
    const request = { method: 'GET', route: '/sessions/:session_id', status: 200, code: null, seconds: 0.5 };
    metrics.request(request);
    metrics.request({ ...request, status: 404, code: 'session_not_found', seconds: 0.1 });
    metrics.request({ ...request, method: 'POST', route: null, status: null, seconds: 0 });
    assert.deepEqual(await lines(metrics, 'parley_http_requests_total'), [
      'parley_http_requests_total{method="GET",route="/sessions/:session_id",status="200"} 1',
      'parley_http_requests_total{method="GET",route="/sessions/:session_id",status="404"} 1',
      'parley_http_requests_total{method="POST",route="unknown",status="none"} 1',
    ]);
    assert.deepEqual(await lines(metrics, 'parley_http_errors_total'), [
      'parley_http_errors_total{code="session_not_found"} 1',
    ]);
    const told = await metrics.json();
    assert.deepEqual(
      [told.requests_total, told.responses_total, told.errors_total, told.request_latency_avg_ms],
      [3, 2, 1, 200],
    );
    assert.deepEqual(told.requests_by_method, { GET: 2, POST: 1 });
    assert.deepEqual(told.responses_by_status, { 200: 1, 404: 1 });
    assert.deepEqual(told.errors_by_code, { session_not_found: 1 });
  });

  it('count what the limits decide', async (context) => {
    const metrics = start(context);
    metrics.rateLimit({ allowed: true, limit: null });
    metrics.rateLimit({ allowed: false, limit: 'key' });
    metrics.rateLimit({ allowed: false, limit: 'address' });
    assert.deepEqual(await lines(metrics, 'parley_rate_limit_decisions_total'), [
      'parley_rate_limit_decisions_total{decision="allowed"} 1',
      'parley_rate_limit_decisions_total{decision="denied",limit="key"} 1',
      'parley_rate_limit_decisions_total{decision="denied",limit="address"} 1',
    ]);
    assert.deepEqual((await metrics.json()).rate_limit, { allowed: 1, denied: 2 });
  });

  it('time the calls of the store', async (context) => {
    const metrics = start(context);
    metrics.storeCall({ method: 'beginTurn', seconds: 0.002, ok: true });
    metrics.storeCall({ method: 'beginTurn', seconds: 30, ok: false });
    const told = await lines(metrics, 'parley_store_call_duration_seconds');
    const prefix = 'parley_store_call_duration_seconds';
    for (const line of [
      `${prefix}_bucket{le="0.001",method="beginTurn",outcome="ok"} 0`,
      `${prefix}_bucket{le="0.0025",method="beginTurn",outcome="ok"} 1`,
      `${prefix}_bucket{le="5",method="beginTurn",outcome="failed"} 0`,
      `${prefix}_sum{method="beginTurn",outcome="failed"} 30`,
    ]) {
      assert.ok(told.includes(line), line);
    }
  });

  it('read how it stands with turns and targets when they are asked', async (context) => {
    let running = 0;
    let targets = [target('openai', 'configured', 'closed')];
    const metrics = start(context, {
      models: ['configured'],
      runningTurns: () => running,
      targets: () => targets,
    });
    assert.deepEqual(await lines(metrics, 'parley_turns_running'), ['parley_turns_running 0']);
    running = 3;
    targets = [
      target('openai', 'configured', 'open'),
      target('openai', 'chosen-1', 'resting'),
      target('openai', 'chosen-2', 'resting'),
    ];
    assert.deepEqual(await lines(metrics, 'parley_turns_running'), ['parley_turns_running 3']);
    assert.equal((await metrics.json()).turns.running, 3);
    const state = (model: string, name: string, value: number) =>
      `parley_targets{gen_ai_provider_name="openai",gen_ai_request_model="${model}",state="${name}"} ${value}`;
    assert.deepEqual(await lines(metrics, 'parley_targets'), [
      state('configured', 'closed', 0),
      state('configured', 'resting', 0),
      state('configured', 'open', 1),
      state('configured', 'half_open', 0),
      state('other', 'closed', 0),
      state('other', 'resting', 2),
      state('other', 'open', 0),
      state('other', 'half_open', 0),
    ]);
    targets = [];
    assert.deepEqual(await lines(metrics, 'parley_targets'), []);
  });

  it('count the changes of targets', async (context) => {
    const metrics = start(context, { models: ['m'] });
    metrics.targetState(target('openai', 'm', 'open'));
    metrics.targetState(target('openai', 'm', 'half_open'));
    metrics.targetState(target('openai', 'm', 'open'));
    const told = await lines(metrics, 'parley_target_state_changes_total');
    assert.deepEqual(
      told.map((line) => /state="(\w+)"} (\d+)$/.exec(line)?.slice(1)),
      [
        ['open', '2'],
        ['half_open', '1'],
      ],
    );
  });

  it('tell of the process', async (context) => {
    const metrics = start(context);
    const value = async (name: string) => Number((await lines(metrics, `${name} `))[0]?.split(' ')[1]);
    const uptime = await value('parley_uptime_seconds');
    assert.ok(uptime > 0 && uptime <= process.uptime());
    const processor = await value('process_cpu_seconds_total');
    assert.ok(processor > 0 && (await value('process_cpu_seconds_total')) >= processor);
    assert.ok((await value('process_resident_memory_bytes')) > 1e6);
    assert.deepEqual(await lines(metrics, 'parley_build_info'), [
      `parley_build_info{version="1.2.3",node_version="${process.version}"} 1`,
    ]);
  });

  it('tell of an event loop that was held up, each time since the time before', async (context) => {
    const metrics = start(context);
    const latest = async () => {
      const told = await lines(metrics, 'parley_event_loop_delay_seconds{statistic="max"}');
      return Number(told[0]?.split(' ')[1]);
    };
    assert.equal(await latest(), 0);
    // A sample before and one after: the delay is what lies between two of them.
    let worst = 0;
    for (let tries = 0; tries < 10 && worst < 0.2; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      const end = performance.now() + 300;
      while (performance.now() < end);
      await new Promise((resolve) => setTimeout(resolve, 30));
      worst = await latest();
    }
    assert.ok(worst >= 0.2 && worst < 60, `${worst} seconds`);
    assert.equal(await latest(), 0);
  });

  it('are those of one server, not of the process', async (context) => {
    const [one, other] = [start(context), start(context)];
    one.request({ method: 'GET', route: '/health', status: 200, code: null, seconds: 0 });
    assert.equal((await one.json()).requests_total, 1);
    assert.equal((await other.json()).requests_total, 0);
  });
});
