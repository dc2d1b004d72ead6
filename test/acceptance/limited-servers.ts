/** Several servers that share no more than their limits, in one Redis. */

import type { TestContext } from 'node:test';
import type { RedisServer } from '../redis-server.ts';
import { call } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

/** So many servers, each with sessions of its own. They are gone when the test is over. */
export async function startLimited(
  context: TestContext,
  redis: RedisServer,
  count: number,
  env: Record<string, string>,
): Promise<ParleyProcess[]> {
  const settings = { DATABASE_URL: 'memory:', REDIS_URL: redis.url(), ...env };
  const servers = await Promise.all(Array.from({ length: count }, () => startParley(settings)));
  context.after(() => Promise.all(servers.map(removeParley)));
  return servers;
}

/** The statuses of requests that are sent to all of them at once, so many to each. */
export async function askAtOnce(servers: readonly ParleyProcess[], each: number): Promise<number[]> {
  const asks = servers.flatMap(({ url }) =>
    Array.from({ length: each }, () => call(url, 'GET', '/sessions')),
  );
  return (await Promise.all(asks)).map(({ status }) => status);
}
