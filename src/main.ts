/**
 * The composition root: configuration → store → tools → providers → targets → sessions and turns → HTTP → listen;
 * closed in reverse. Every room gets the slice of the configuration that it needs, and nothing else.
 */

import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { createBypass } from './clients/bypass.ts';
import { createChangeWatch } from './clients/change-watch.ts';
import { createDirectory } from './clients/directory.ts';
import { createKnownTools } from './clients/known-tools.ts';
import { createOwnedSessions } from './clients/owned-sessions.ts';
import { createProviderOperations } from './clients/provider-operations.ts';
import { createUsageLedger } from './clients/usage-ledger.ts';
import { closeInPhases, type Phase } from './close-in-phases.ts';
import {
  configuredModels,
  knownTargets,
  providerMaker,
  routeView,
} from './composition/configured-providers.ts';
import {
  metricsOfAll,
  observedSlots,
  observedStore,
  openTracing,
  type Peers,
} from './composition/observed-rooms.ts';
import { openLimits } from './composition/opened-limits.ts';
import { openRedis } from './composition/opened-redis.ts';
import { openTools } from './composition/opened-tools.ts';
import { sharedParts } from './composition/shared-parts.ts';
import { describeConfig } from './config/describe-config.ts';
import { checkOpenHost } from './config/open-host.ts';
import type { Config } from './config/schema.ts';
import { AppError } from './errors.ts';
import { createApp } from './http/app.ts';
import { createGate } from './http/gate.ts';
import type { App, Rooms } from './http/rooms.ts';
import { createAllowlist } from './limits/allowlist.ts';
import type { Providers } from './providers/provider.ts';
import { createProviders } from './providers/registry.ts';
import { NO_EXCHANGE } from './replicas/in-process.ts';
import { createBreakers } from './routing/breaker.ts';
import { createTargetSelection } from './routing/targets.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSweeper } from './sessions/sweeper.ts';
import { openStore } from './stores/open-store.ts';
import { logTargetState, logTurn } from './telemetry/log.ts';
import { createMetrics, type MetricsDump } from './telemetry/metrics.ts';
import { NO_TRACING } from './telemetry/trace.ts';
import { createLeases } from './turns/leases.ts';
import { createTurns } from './turns/turns.ts';

export interface Parley {
  /** Where it listens, such as `http://127.0.0.1:8000`. */
  url: string;
  /** Where the administration listens; null where that is no place of its own. */
  adminUrl: string | null;
  providers: Providers;
  /** Whether anybody may use it: there is no key that a request could carry. */
  open: boolean;
  /** Turns that a crash had left running, failed at this start. */
  interrupted: number;
  /** What this server has counted; nothing where nothing is. */
  metrics(): Promise<MetricsDump>;
  /** Refuses new requests, lets running turns finish for the grace time, and releases everything. */
  close(): Promise<void>;
}

/** Of `package.json`, which stands above the sources as above the compiled files. */
export const version: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

/**
 * Starts a server and resolves when it listens. Rejects, with everything released, if it cannot: with `ConfigError`
 * where it would be open to everybody against the operator's will.
 */
export async function startParley(config: Config, log: Logger, peers: Peers | null = null): Promise<Parley> {
  const phases: Phase[] = [];
  try {
    const tracing = await openTracing(config, version, log);
    // Last of all: what closing does in between is in traces as well.
    if (tracing !== NO_TRACING) phases.unshift({ name: 'traces', close: () => tracing.close() });
    const opened = await openStore(config.databaseUrl, log, config.storeTimeoutMs);
    phases.unshift({ name: 'store', close: () => opened.close() });
    const { code, message } = new AppError('server_restarted');
    const interrupted = await opened.failInterrupted({ code, message }, Date.now());

    const redis = await openRedis(config, log);
    if (redis !== null) phases.unshift({ name: 'redis', close: async () => redis.connection.close() });
    const shared = redis !== null && opened.isShared ? await redis.openExchange() : null;
    const exchange = shared ?? NO_EXCHANGE;
    if (shared !== null) phases.unshift({ name: 'exchange', close: () => shared.close() });
    const howItStands = () => sharedParts({ limits: limits.isReached, exchange: shared?.isHeard ?? null });

    const tools = await openTools(config, version, log);
    if (tools.close !== null) phases.unshift({ name: 'tools', close: tools.close });
    const providers = createProviders(
      config.providerNames.map(providerMaker(config, tools.sources)).map(tracing.provider),
      config.defaultProvider,
    );
    phases.unshift({ name: 'providers', close: () => providers.close() });
    const metrics = config.metricsEnabled
      ? createMetrics({
          version,
          models: configuredModels(config, providers),
          runningTurns: () => turns.running(),
          targets: () => knownTargets(breakers, providers),
          providers: () =>
            providers.all.map(({ name }) => ({ name, inService: operations.isInService(name) })),
          shared: howItStands,
        })
      : null;
    phases.unshift({ name: 'metrics', close: async () => metrics?.close() });
    const store = observedStore(opened, { metrics, tracing, log });
    const breakers = createBreakers({
      onChange(state) {
        logTargetState(log, state);
        metrics?.targetState(state);
      },
      report: (report) => exchange.tell({ kind: 'target', report }),
    });
    exchange.listen((notice) => {
      if (notice.kind === 'target') breakers.adopt(notice.report);
      else if (notice.kind === 'hello') {
        for (const report of breakers.reports()) exchange.tell({ kind: 'target', report });
      }
    });
    const operations = await createProviderOperations({ adminStore: store.admin, breakers });
    for (const { provider, note } of operations.allStopped()) {
      log.warn({ provider, note }, 'out of service until an operator puts it back');
    }
    const knownTools = await createKnownTools({
      adminStore: store.admin,
      onChanged: (tool) => log.warn(tool, 'a tool is not what was accepted, and is not offered any more'),
      onFull: (server) => log.warn({ server }, 'a server has had too many tools: new ones are not offered'),
      onFailure: (error) => log.warn({ err: error }, 'what was seen of tools could not be stored'),
    });
    phases.unshift({ name: 'known tools', close: () => knownTools.close() });
    const toolboxes = tools.toolboxes(knownTools);
    const targets = createTargetSelection({
      providers,
      fallbacks: config.fallbackProviders,
      routes: config.routes,
      isInService: operations.isInService,
      isHealthy: (target) => breakers.of(target).isHealthy(),
      random: Math.random,
    });

    const memory = { defaultPlaces: config.memoryDefault, maxPlaces: config.memoryMax };
    const sessions = createSessions({
      store,
      memory,
      checkProviders: targets.check,
      modelOf: targets.modelOf,
    });
    const sweeper = createSweeper({
      store,
      retentionMilliseconds: retention(config.sessionRetentionDays),
      onSwept: (count) => log.info({ sessions: count }, 'swept'),
      onFailure: (error) => log.warn({ err: error }, 'old sessions could not be swept'),
    });
    phases.unshift({ name: 'sweeper', close: () => sweeper.close() });
    const usage = createUsageLedger({
      adminStore: store.admin,
      onFailure: (error) => log.warn({ err: error }, 'usage could not be stored'),
    });
    phases.unshift({ name: 'usage', close: () => usage.close() });
    // The identity of a daily bucket is the client whose tokens it holds.
    const limits = openLimits(redis, config, ({ identity }) => usage.usedToday(identity), log);
    if (limits.close !== null) phases.unshift({ name: 'limits', close: limits.close });
    const leases = createLeases({
      store,
      leaseMilliseconds: config.turnLeaseSeconds * 1000,
      onFailure: (error) => log.warn({ err: error }, 'the leases of turns could not be renewed'),
      onInterrupted: (count) => log.warn({ turns: count }, 'a server that died had left turns unfinished'),
    });
    phases.unshift({ name: 'leases', close: () => leases.close() });
    const turns = createTurns({
      store,
      leases,
      exchange,
      toolboxes: tracing.tools(toolboxes),
      toolStepsMax: config.toolStepsMax,
      limiter: limits.limiter,
      slots: observedSlots(limits.slots, metrics),
      targets,
      memory,
      conditions: {
        firstTokenMilliseconds: config.providerTimeoutSeconds * 1000,
        idleMilliseconds: config.idleTimeoutSeconds * 1000,
        turnMilliseconds: config.turnTimeoutSeconds * 1000,
        answerMaxBytes: config.answerMaxBytes,
        breakers,
        random: Math.random,
      },
      logBytes: config.turnLogMaxBytes,
      queueMax: config.sessionQueueMax,
      around: tracing.aroundTurn,
      observe: (turn, cause, { owner, requestId }) => {
        logTurn(tracing.log(log), turn, cause, requestId);
        metrics?.turn(turn);
        usage.note(owner, turn);
      },
    });

    const directory = await createDirectory({
      adminStore: store.admin,
      staticKeys: staticKeys(config.apiKeys),
      onFailure: (error) => log.warn({ err: error }, 'the last uses of keys could not be stored'),
    });
    phases.unshift({ name: 'clients', close: () => directory.close() });
    if (directory.isOpen()) checkOpenHost(config);
    const allowlist = createAllowlist([]);
    const bypass = await createBypass({ adminStore: store.admin, onChange: allowlist.replace });
    if (store.isShared) {
      const reload = () =>
        Promise.all([directory, bypass, operations, knownTools].map((one) => one.reload()));
      const changes = await createChangeWatch({
        adminStore: opened.admin,
        async onChange(entries) {
          operations.repeat(entries);
          await reload();
        },
        onFailure: (error) => log.warn({ err: error }, 'changes at other servers could not be looked for'),
      });
      phases.unshift({ name: 'changes', close: () => changes.close() });
      // For what was changed between the reading of each and now.
      await reload();
    }
    const gate = createGate({
      adminToken: config.adminToken,
      directory,
      limiter: limits.limiter,
      allowlist,
      limits: {
        rps: config.rateRps,
        burst: config.rateBurst,
        concurrentTurns: config.rateConcurrentTurns,
        tokensPerMinute: config.rateTokensPerMinute,
        tokensPerDay: config.rateTokensPerDay,
      },
      observe: (decision) => metrics?.rateLimit(decision),
    });

    const ownedSessions = createOwnedSessions({
      adminStore: store.admin,
      newest: async (owner, after, limit) =>
        (await store.listSessions({ owner, metadata: {}, after, limit, order: 'desc' })).data,
      onDeleted: turns.abandon,
    });

    const http = await createApp({
      gate,
      trustProxy: trustProxy(config.trustProxy),
      reception: {
        requestMilliseconds: config.requestTimeoutSeconds * 1000,
        connectionsMax: config.connectionsMax,
      },
      corsOrigins: config.corsOrigins,
      adminApart: config.adminPort !== null,
      admin: {
        directory,
        bypass,
        ownedSessions,
        sessions,
        operations,
        tools: {
          known: knownTools,
          isConfigured: (server) => tools.sources.get(server) !== undefined,
          isTrusted: (server) => tools.policyOf(server).trust,
        },
        providers,
        targets: () => knownTargets(breakers, providers),
        configuration: describeConfig(config),
        adminStore: store.admin,
      },
      sessions,
      turns,
      providers,
      toolboxes,
      readiness: {
        store: () => store.ping(),
        targets: () => knownTargets(breakers, providers),
        isInService: operations.isInService,
        shared: howItStands,
      },
      routes: config.routes.map(routeView(providers)),
      idempotencySeconds: config.idempotencyTtlSeconds,
      metrics: metrics === null || peers === null ? metrics : metricsOfAll(metrics, peers),
      beginTrace: tracing.beginRequest,
      version,
      log,
    });
    phases.unshift({ name: 'connections', close: () => http.close() });
    // The API last: from then on the server is there.
    await http.admin?.listen({ port: config.adminPort ?? 0, host: config.adminHost ?? config.host });
    await http.api.listen({ port: config.port, host: config.host });

    phases.unshift(
      { name: 'new requests', close: async () => http.refuse() },
      { name: 'running turns', close: () => turns.drain(config.shutdownGraceSeconds * 1000) },
    );
    return {
      url: urlOf(http.api),
      adminUrl: http.admin === null ? null : urlOf(http.admin),
      providers,
      open: directory.isOpen(),
      interrupted,
      metrics: async () => (await metrics?.dump()) ?? [],
      close: () => closeInPhases(phases, log),
    };
  } catch (error) {
    await closeInPhases(phases, log);
    throw error;
  }
}

/** The keys of `API_KEYS`, each after its name and a colon. */
function staticKeys(pairs: readonly string[]): { name: string; key: string }[] {
  return pairs.map((pair) => {
    const colon = pair.indexOf(':');
    return { name: pair.slice(0, colon), key: pair.slice(colon + 1) };
  });
}

/** As the HTTP server takes it: networks, or whether the proxy at that distance is believed. */
function trustProxy(setting: string | null): Rooms['trustProxy'] {
  if (setting === null) return false;
  const hops = Number(setting);
  return Number.isNaN(hops) ? setting : (_address, hop) => hop < hops;
}

const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

function retention(days: number | null): number | null {
  return days === null ? null : days * DAY_MILLISECONDS;
}

function urlOf({ server }: App): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
