/**
 * The transport to the master that sentinels name. They are asked whenever there is no connection to it, and every so
 * often while there is one: a master that was cut off from its sentinels is one no more, and does not know it. The driver
 * has a client for sentinels too, which sends what was under way again when a connection breaks, and holds all commands
 * back for as long as there is no master; here they fail, as over every other transport.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { ErrorReply } from '@redis/client';
import { NotConnectedError } from './failures.ts';
import type { RedisLocation, RedisNode } from './location.ts';
import { createSentinels } from './sentinels.ts';
import { connectOnce, type SingleConnection } from './single-connection.ts';
import type { Transport } from './transport.ts';

/** Milliseconds after which sentinels are asked again while there is no master. */
const PAUSE = 50;
/** And while there is one. */
const LOOK_AGAIN = 2000;

/**
 * @param timeoutMilliseconds for each connection, and for each answer to what is asked to find the master
 * @param onError told of everything that goes wrong on the way to it
 */
export function sentinelTransport(
  location: RedisLocation,
  timeoutMilliseconds: number,
  onError: (error: Error) => void,
): Transport {
  const destroyed = new AbortController();
  const { signal } = destroyed;
  const options = { timeoutMilliseconds, signal };
  const sentinels = createSentinels(location, options);
  const connected = Promise.withResolvers<void>();
  let master: SingleConnection | null = null;
  /** Whether the master has said that it is none any more. It can still be read. */
  let isDoubted = false;
  let wake: () => void = () => undefined;
  /** To what every master is subscribed, from its beginning on. */
  let subscription: { channels: readonly string[]; onMessage: (text: string) => void } | null = null;

  return {
    async send(_key, command) {
      const asked = master;
      if (asked === null) throw new NotConnectedError();
      try {
        return await asked.send(command);
      } catch (error) {
        if (asked === master && isReadOnly(error)) doubt();
        throw error;
      }
    },
    async subscribe(channels, onMessage) {
      subscription = { channels, onMessage };
      await master?.subscribe(channels, onMessage);
    },
    connect() {
      void follow();
      return connected.promise;
    },
    destroy() {
      destroyed.abort();
      leave();
    },
  };

  /** Until it is destroyed. */
  async function follow(): Promise<void> {
    while (!signal.aborted) {
      await look().catch((error: Error) => {
        if (signal.aborted) return;
        onError(error);
        sentinels.turnAway();
      });
      if (hasMaster()) await restUntilWoken();
      if (!hasMaster()) await pause(PAUSE);
    }
  }

  function hasMaster(): boolean {
    return master !== null && !isDoubted;
  }

  async function restUntilWoken(): Promise<void> {
    const rest = new AbortController();
    wake = () => rest.abort();
    await pause(LOOK_AGAIN, undefined, { signal: rest.signal }).catch(() => undefined);
  }

  /** Connects to whom the sentinels name, unless that is who it is connected to. */
  async function look(): Promise<void> {
    const node = await sentinels.findMaster();
    if (master !== null && isSame(master.node, node)) {
      if (isDoubted) await refuseReplica(master);
      isDoubted = false;
      return;
    }
    const found = await connectTo(node);
    if (signal.aborted) return found.destroy();
    if (subscription !== null) await found.subscribe(subscription.channels, subscription.onMessage);
    leave();
    master = found;
    isDoubted = false;
    void found.over.then(() => {
      if (master === found) leave();
    });
    connected.resolve();
  }

  async function connectTo(node: RedisNode): Promise<SingleConnection> {
    const connection = await connectOnce(location, node, options);
    try {
      await refuseReplica(connection);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** A replica that was a master, or is about to become one, is none. */
  async function refuseReplica({ node: { host, port }, ask }: SingleConnection): Promise<void> {
    const [role] = await ask<[role: string]>(['ROLE']);
    if (role !== 'master') throw new Error(`${host}:${port} is no master, and the sentinels say that it is`);
  }

  function doubt(): void {
    isDoubted = true;
    wake();
  }

  function leave(): void {
    const left = master;
    master = null;
    left?.destroy();
    wake();
  }
}

function isSame(one: RedisNode, other: RedisNode): boolean {
  return one.host === other.host && one.port === other.port;
}

function isReadOnly(error: unknown): boolean {
  return error instanceof ErrorReply && error.message.startsWith('READONLY ');
}
