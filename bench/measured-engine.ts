/**
 * What keeps the store of a benchmark: a file, or an engine of its own, set up so that what is acknowledged is on the
 * disk; what it has cost so far, and how large it is. All of it is removed when it is stopped.
 */

import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../test/postgres-server.ts';
import { startRedis } from '../test/redis-server.ts';
import { processorMillisecondsOfAll } from './measured-process.ts';

export type StoreName = 'sqlite' | 'redis' | 'postgres';

export interface MeasuredEngine {
  /** For `DATABASE_URL`. */
  location: string;
  /** Restores at the same time that fill it quickest: an engine is waited for, a file is not. */
  lanes: number;
  /** Processor time so far of all its processes, user and system; 0 where the store is part of the server. */
  processorMilliseconds(): number;
  /** What is stored: bytes on the disk, of Redis in memory. */
  bytes(): Promise<number>;
  /** To be called when it is filled: does what is left to do of that, so that turns are not charged with it. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

/** A large part of a small machine's memory, as a server has it whose work this is. */
const SHARED_BUFFERS = '1GB';

export function startMeasuredEngine(store: StoreName): Promise<MeasuredEngine> {
  return { sqlite: startSqlite, redis: startMeasuredRedis, postgres: startMeasuredPostgres }[store]();
}

async function startSqlite(): Promise<MeasuredEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  return {
    location: `sqlite:${join(directory, 'parley.db')}`,
    lanes: 1,
    processorMilliseconds: () => 0,
    bytes: async () =>
      readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0),
    settle: async () => undefined,
    stop: () => rm(directory, { recursive: true, force: true }),
  };
}

async function startMeasuredRedis(): Promise<MeasuredEngine> {
  // Its log is not written anew while it is measured: when that is due has nothing to do with what is measured.
  const log = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--auto-aof-rewrite-percentage', '0'];
  const redis = await startRedis(...log);
  const pid = await figure('server', 'process_id');
  return {
    location: `redis://127.0.0.1:${redis.port}`,
    lanes: 16,
    processorMilliseconds: () => processorMillisecondsOfAll(pid),
    bytes: () => figure('memory', 'used_memory'),
    settle: async () => {
      await redis.command('CONFIG', 'SET', 'appendfsync', 'always');
    },
    stop: redis.stop,
  };

  async function figure(section: string, name: string): Promise<number> {
    const text = await redis.command('INFO', section);
    return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1]);
  }
}

async function startMeasuredPostgres(): Promise<MeasuredEngine> {
  const postgres = await startPostgres({ settings: { fsync: 'on', shared_buffers: SHARED_BUFFERS } });
  const [row] = await postgres.execute(
    "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
  );
  return {
    location: postgres.url(),
    lanes: 4,
    processorMilliseconds: () => processorMillisecondsOfAll(row?.['pid'] as number),
    bytes: async () => {
      const [size] = await postgres.execute("SELECT pg_database_size('postgres')::float8 AS bytes");
      return size?.['bytes'] as number;
    },
    settle: async () => {
      await postgres.execute('VACUUM (ANALYZE)');
      await postgres.execute('CHECKPOINT');
    },
    stop: postgres.stop,
  };
}
