/** Moving between all engines that are on this machine, each to each and to itself. */

import { after, describe } from 'node:test';
import { type RedisServer, skipWithoutRedis, startRedis } from '../../test/redis-server.ts';
import { describeMove, describePortable, type OpenPortable } from './portable-store.contract.ts';
import { PATIENT, skip as skipWithoutPostgres, testPostgres } from './postgres/samples.contract.ts';
import { openPostgresStore } from './postgres.ts';
import { openRedisStore } from './redis.ts';
import { temporaryDatabase } from './sqlite/samples.contract.ts';
import { openMemoryStore, openSqliteStore } from './sqlite.ts';

let redis: Promise<RedisServer> | null = null;
after(async () => (await redis)?.stop());
const postgres = await testPostgres();

const engines: readonly { name: string; skip: string | false; open: OpenPortable }[] = [
  { name: 'memory', skip: false, open: async () => openMemoryStore() },
  { name: 'SQLite', skip: false, open: async (context) => openSqliteStore(temporaryDatabase(context)) },
  {
    name: 'Redis',
    skip: skipWithoutRedis,
    open: async () => openRedisStore((await (redis ??= startRedis())).url(), PATIENT),
  },
  {
    name: 'PostgreSQL',
    skip: skipWithoutPostgres,
    open: () => openPostgresStore(postgres.location(), PATIENT),
  },
];

for (const { name, skip, open } of engines) describe(name, { skip }, () => describePortable(name, open));

describe('PostgreSQL with the locale en-US', { skip: skipWithoutPostgres }, () =>
  describePortable('it', () => openPostgresStore(postgres.location('', 'english'), PATIENT)),
);

for (const source of engines) {
  for (const target of engines) {
    describe(`into ${target.name}`, { skip: source.skip || target.skip }, () =>
      describeMove(source.name, source.open, target.open),
    );
  }
}
