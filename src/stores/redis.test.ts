/** The store on Redis: the contracts, against a real server. What only Redis can do wrong is in its siblings. */

import { after, describe } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { describeAdminStore } from './admin-store.contract.ts';
import { openRedisStore } from './redis.ts';
import { describeStore } from './store.contract.ts';
import { describeSharedStore } from './store-leases.contract.ts';

describe('Redis', { skip: skipWithoutRedis }, () => {
  let server: Promise<RedisServer> | null = null;
  const started = () => (server ??= startRedis());
  after(async () => (await server)?.stop());

  const open = async () => openRedisStore((await started()).url());
  describeStore('Redis', open);
  describeAdminStore('Redis', open);
  describeSharedStore('Redis', async () => {
    const url = (await started()).url();
    return [await openRedisStore(url), await openRedisStore(url)];
  });
});
