/**
 * The transport for an address: to a server, to a cluster, or to the master that sentinels name (sentinel-transport.ts).
 * The driver connects again by itself.
 */

import { createClient, createCluster } from '@redis/client';
import { clientOptions, LONGEST_PAUSE, NO_TIMEOUT } from './client-options.ts';
import { NotConnectedError } from './failures.ts';
import type { RedisLocation } from './location.ts';
import { sentinelTransport } from './sentinel-transport.ts';
import type { Transport } from './transport.ts';

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
  const options = clientOptions(location, timeoutMilliseconds);
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
  const options = clientOptions(location, timeoutMilliseconds);
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

/** A server's client tries until it is destroyed; that of a cluster gives up, and is asked again. */
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
