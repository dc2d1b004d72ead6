/**
 * The driver behind one face, whatever stands at the other end: a server, a cluster, or the master that sentinels name.
 * A transport sends a command or says at once that it is not connected; it neither waits nor tries again. The driver
 * connects again by itself. Commands that are under way when a connection breaks fail, and are never sent twice.
 */

import { createClient, createCluster, createSentinel } from '@redis/client';
import { NotConnectedError } from './failures.ts';
import type { RedisLocation } from './location.ts';

export interface Transport {
  /** @param key decides which node of a cluster is asked */
  send(key: string, command: string[]): Promise<unknown>;
  /** From then on no command can be sent to a server over this transport. @param onMessage called with each message */
  subscribe(channels: readonly string[], onMessage: (text: string) => void): Promise<void>;
  /** Resolves when it is connected for the first time; never rejects, and goes on trying until `destroy`. */
  connect(): Promise<void>;
  /** Ends it at once; whatever is under way fails. */
  destroy(): void;
}

/** The driver's own clocks are off: calls have a deadline of their own, and its timer for each command is dear. */
const NO_TIMEOUT = { timeout: 0 };
/** Milliseconds between tries to connect: more each time, and soon enough after a short outage. */
const LONGEST_PAUSE = 500;
const FIRST_PAUSE = 25;
/** Milliseconds after which a cluster whose node has gone is asked who has its slots now. */
const REFRESH_AFTER = 500;

/**
 * @param timeoutMilliseconds for making a connection
 * @param onError told of everything that goes wrong with connections
 */
export function createTransport(
  location: RedisLocation,
  timeoutMilliseconds: number,
  onError: (error: Error) => void,
): Transport {
  if (location.kind === 'cluster') return clusterTransport(location, timeoutMilliseconds, onError);
  if (location.kind === 'sentinel') return sentinelTransport(location, timeoutMilliseconds, onError);
  return serverTransport(location, timeoutMilliseconds, onError);
}

function serverTransport(
  location: RedisLocation,
  timeoutMilliseconds: number,
  onError: (error: Error) => void,
): Transport {
  const options = nodeOptions(location, timeoutMilliseconds);
  const client = createClient({
    ...options,
    RESP: 2,
    commandOptions: NO_TIMEOUT,
    socket: { ...options.socket, ...location.nodes[0] },
  });
  client.on('error', onError);
  return {
    send: (_key, command) => client.sendCommand(command),
    subscribe: (channels, onMessage) => client.subscribe([...channels], onMessage),
    connect: () => untilConnected(() => client.connect(), onError),
    destroy: () => client.destroy(),
  };
}

function clusterTransport(
  location: RedisLocation,
  timeoutMilliseconds: number,
  onError: (error: Error) => void,
): Transport {
  const options = nodeOptions(location, timeoutMilliseconds);
  const cluster = createCluster({
    RESP: 2,
    commandOptions: NO_TIMEOUT,
    rootNodes: location.nodes.map((node) => ({ socket: node })),
    defaults: options,
    topologyRefreshOnReconnectionAttemptStrategy: REFRESH_AFTER,
    // A node is connected to when it is asked: otherwise one that is dead keeps the others from being used.
    minimizeConnections: true,
  });
  cluster.on('error', onError);
  cluster.on('node-error', onError);
  let state: 'connecting' | 'connected' | 'destroyed' = 'connecting';
  return {
    async send(key, command) {
      if (state !== 'connected') throw new NotConnectedError();
      return cluster.sendCommand(key, false, command);
    },
    async subscribe(channels, onMessage) {
      await cluster.subscribe([...channels], onMessage);
    },
    async connect() {
      await untilConnected(
        () => cluster.connect(),
        onError,
        () => state === 'destroyed',
      );
      if (state === 'connecting') state = 'connected';
      // Whatever it has found in the meantime goes as well.
      else cluster.destroy();
    },
    destroy() {
      state = 'destroyed';
      cluster.destroy();
    },
  };
}

function sentinelTransport(
  location: RedisLocation,
  timeoutMilliseconds: number,
  onError: (error: Error) => void,
): Transport {
  const nobody = { ...location, username: undefined, password: undefined, database: 0 };
  const sentinel = createSentinel({
    RESP: 2,
    name: location.master,
    commandOptions: NO_TIMEOUT,
    sentinelRootNodes: [...location.nodes],
    sentinelClientOptions: nodeOptions(nobody, timeoutMilliseconds),
    nodeClientOptions: nodeOptions(location, timeoutMilliseconds),
    passthroughClientErrorEvents: true,
    scanInterval: REFRESH_AFTER * 4,
  });
  sentinel.on('error', onError);
  let state: 'connecting' | 'connected' | 'destroyed' = 'connecting';
  return {
    async send(_key, command) {
      if (state !== 'connected') throw new NotConnectedError();
      return sentinel.sendCommand(false, command);
    },
    async subscribe(channels, onMessage) {
      await sentinel.subscribe([...channels], onMessage);
    },
    async connect() {
      await untilConnected(
        () => sentinel.connect(),
        onError,
        () => state === 'destroyed',
      );
      if (state === 'connecting') state = 'connected';
    },
    destroy() {
      state = 'destroyed';
      sentinel.destroy().catch(onError);
    },
  };
}

function nodeOptions({ encrypted, username, password, database }: RedisLocation, connectTimeout: number) {
  return {
    name: 'parley',
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(database === 0 ? {} : { database }),
    socket: {
      connectTimeout,
      reconnectStrategy: (retries: number) =>
        Math.min(FIRST_PAUSE * 2 ** Math.min(retries, 9), LONGEST_PAUSE),
      ...(encrypted ? { tls: true as const } : {}),
    },
  } as const;
}

/** A server's client tries until it is destroyed; the other two give up, and are asked again. */
async function untilConnected(
  connect: () => Promise<unknown>,
  onError: (error: Error) => void,
  isDestroyed: () => boolean = () => true,
): Promise<void> {
  for (;;) {
    try {
      await connect();
      return;
    } catch (error) {
      if (error instanceof Error) onError(error);
      if (isDestroyed()) return;
      await new Promise((resolve) => setTimeout(resolve, LONGEST_PAUSE));
    }
  }
}
