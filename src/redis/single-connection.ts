/**
 * One connection to one server, for whoever decides anew where the next one leads: it is never made again, and what is
 * under way when it breaks fails.
 */

import { createClient } from '@redis/client';
import { clientOptions, NO_TIMEOUT } from './client-options.ts';
import type { RedisLocation, RedisNode } from './location.ts';

export interface SingleConnection {
  readonly node: RedisNode;
  send<Reply>(command: string[]): Promise<Reply>;
  /** The same of an answer that has to come in time, or the connection ends. */
  ask<Reply>(command: string[]): Promise<Reply>;
  /** From then on nothing else can be sent over it. */
  subscribe(channels: readonly string[], onMessage: (text: string) => void): Promise<void>;
  /** Resolves when it is over, however it has ended. */
  readonly over: Promise<void>;
  destroy(): void;
}

export interface SingleConnectionOptions {
  /** For making it, and for what is asked. */
  timeoutMilliseconds: number;
  /** Ends it at once, also while it is being made. */
  signal: AbortSignal;
}

/** Rejects if it cannot be made in time. @param location whose user, password and encryption it is made with */
export async function connectOnce(
  location: RedisLocation,
  node: RedisNode,
  { timeoutMilliseconds, signal }: SingleConnectionOptions,
): Promise<SingleConnection> {
  const options = clientOptions(location, timeoutMilliseconds);
  const client = createClient({
    ...options,
    RESP: 2,
    commandOptions: NO_TIMEOUT,
    socket: { ...options.socket, ...node, reconnectStrategy: false },
  });
  // What goes wrong is told to whoever waits for an answer, or for its end.
  client.on('error', () => undefined);
  const over = new Promise<void>((resolve) => {
    for (const event of ['terminated', 'end']) client.once(event, () => resolve());
  });
  const destroy = () => client.destroy();
  await inTime(client.connect());
  signal.addEventListener('abort', destroy);
  void over.then(() => signal.removeEventListener('abort', destroy));
  return {
    node,
    send: (command) => client.sendCommand(command),
    ask: (command) => inTime(client.sendCommand(command)),
    subscribe: (channels, onMessage) => inTime(client.subscribe([...channels], onMessage)),
    over,
    destroy,
  };

  async function inTime<Result>(answer: Promise<Result>): Promise<Result> {
    const { promise, reject } = Promise.withResolvers<never>();
    const late = new Error(`${node.host}:${node.port} did not answer within ${timeoutMilliseconds} ms`);
    const timer = setTimeout(() => reject(late), timeoutMilliseconds);
    const aborted = () => reject(new Error('The connection is wanted no more.'));
    signal.addEventListener('abort', aborted);
    if (signal.aborted) aborted();
    try {
      return await Promise.race([answer, promise]);
    } catch (error) {
      destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
    }
  }
}
