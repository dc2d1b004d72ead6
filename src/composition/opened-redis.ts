/** The Redis by which servers coordinate, where there is one: its connection, and what they tell each other over it. */

import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { parseRedisLocation, type RedisLocation } from '../redis/location.ts';
import type { Exchange } from '../replicas/exchange.ts';

export interface OpenedRedis {
  connection: RedisConnection;
  location: RedisLocation;
  /** With the servers that use the same Redis and share the store. */
  openExchange(): Promise<OpenedExchange>;
}

export interface OpenedExchange extends Exchange {
  /** Whether what other servers tell is heard. */
  isHeard(): boolean;
}

/** Less than a store has: requests wait for it, and there is something in its place. */
const TIMEOUT_MILLISECONDS = 1000;

/** Null where no Redis is configured. Rejects with an `Error` for the operator if it cannot be used. */
export async function openRedis(
  config: Pick<Config, 'databaseUrl' | 'redisUrl'>,
  log: Logger,
): Promise<OpenedRedis | null> {
  const url = config.redisUrl ?? (/^rediss?:/.test(config.databaseUrl) ? config.databaseUrl : null);
  if (url === null) return null;
  const location = parseRedisLocation(url);
  // The driver is loaded for those who need it.
  const { openConnection } = await import('../redis/connection.ts');
  const connection = await openConnection(location, TIMEOUT_MILLISECONDS);
  return { connection, location, openExchange };

  async function openExchange(): Promise<OpenedExchange> {
    const { openSubscription } = await import('../redis/subscription.ts');
    const { createRedisExchange } = await import('../replicas/redis.ts');
    let isHeard = false;
    const exchange = createRedisExchange({
      connection,
      location,
      subscribe: (...wanted) => openSubscription(location, TIMEOUT_MILLISECONDS, ...wanted),
      onChange(isConnected) {
        isHeard = isConnected;
        if (isConnected) log.info('what other servers tell is heard');
        else log.warn('what other servers tell is not heard: their turns are looked for in the store');
      },
    });
    return { ...exchange, isHeard: () => isHeard };
  }
}
