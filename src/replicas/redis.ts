/**
 * The exchange over Redis: two channels, that of all servers and this one's own. A beat that each server sends to itself
 * shows whether it is still heard: a subscription over a connection that leads nowhere is silent like one with no news.
 */

import { newId } from '../conversation/id.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { RedisLocation } from '../redis/location.ts';
import type { Subscription } from '../redis/subscription.ts';
import type { Exchange, Notice } from './exchange.ts';

export interface RedisExchangeOptions {
  /** Over which notices are sent. */
  connection: Pick<RedisConnection, 'send'>;
  location: Pick<RedisLocation, 'prefix' | 'database'>;
  subscribe(channels: readonly string[], onMessage: (text: string) => void, onOpen: () => void): Subscription;
  /** Told when nothing is heard any more, and when it is again. */
  onChange(isConnected: boolean): void;
}

/** Of what is told: servers of another version leave it alone. */
const VERSION = 1;
const BEAT_MILLISECONDS = 1000;
/** Beats that may be missed. */
const PATIENCE_MILLISECONDS = 3 * BEAT_MILLISECONDS;

/** What goes over the wire. A beat has no notice. */
interface Message {
  from: string;
  notice: Notice | null;
}

export function createRedisExchange(options: RedisExchangeOptions): Exchange {
  const { connection, location, onChange } = options;
  const self = newId();
  // Channels are the same in all databases of a server.
  const base = `${location.prefix}${location.database}:exchange:${VERSION}`;
  const channelOf = (server: string) => `${base}:${server}`;
  const listeners = new Set<(notice: Notice) => void>();
  const channels = [base, channelOf(self)];
  let subscription = options.subscribe(channels, hear, beat);
  let heardAt = performance.now();
  let isConnected = false;
  const timer = setInterval(() => {
    beat();
    if (performance.now() - heardAt > PATIENCE_MILLISECONDS) reconnect();
  }, BEAT_MILLISECONDS).unref();

  return {
    self,
    isConnected: () => isConnected,
    tell: (notice, to) => send(to === undefined ? base : channelOf(to), notice),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      clearInterval(timer);
      listeners.clear();
      subscription.close();
    },
  };

  function beat(): void {
    send(channelOf(self), null);
  }

  function send(channel: string, notice: Notice | null): void {
    const message: Message = { from: self, notice };
    // By way of one node of a cluster, so that a server's notices do not overtake each other. What cannot be told is lost.
    connection.send(base, ['PUBLISH', channel, JSON.stringify(message)]).catch(() => undefined);
  }

  function hear(text: string): void {
    const message = messageIn(text);
    if (message === null) return;
    const { from, notice } = message;
    if (from === self) {
      heardAt = performance.now();
      change(true);
    } else if (notice !== null) {
      for (const listener of listeners) listener(notice);
    }
  }

  function reconnect(): void {
    change(false);
    heardAt = performance.now();
    subscription.close();
    subscription = options.subscribe(channels, hear, beat);
  }

  function change(next: boolean): void {
    if (next === isConnected) return;
    isConnected = next;
    onChange(next);
    if (next) send(base, { kind: 'hello' });
  }
}

/** Null for what no server has told: whoever may use the Redis may say anything there. */
function messageIn(text: string): Message | null {
  try {
    const value: unknown = JSON.parse(text);
    const isMessage = typeof value === 'object' && value !== null && 'from' in value && 'notice' in value;
    return isMessage ? (value as Message) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
