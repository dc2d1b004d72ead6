/**
 * The engines that servers can share, behind one face, for tests that run on each of them: a real one, which keeps what
 * it has acknowledged when it is killed.
 */

import { findPostgres, startPostgres } from './postgres-server.ts';
import { skipWithoutRedis, startRedis } from './redis-server.ts';

export const SHARED_ENGINES = ['redis', 'postgres'] as const;

export type SharedEngineName = (typeof SHARED_ENGINES)[number];

export interface SharedEngine {
  port: number;
  /** For `DATABASE_URL`: the engine itself, or what stands before it at another port. */
  url(port?: number): string;
  /** Ends it with nothing written or said. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it serves. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Why tests on it are skipped here; false if they are not. */
export function skipWithoutEngine(name: SharedEngineName): string | false {
  if (name === 'redis') return skipWithoutRedis;
  return findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql';
}

export function startEngine(name: SharedEngineName): Promise<SharedEngine> {
  return name === 'redis' ? startDurableRedis() : startDurablePostgres();
}

async function startDurableRedis(): Promise<SharedEngine> {
  const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
  const { kill, start, stop } = redis;
  return { port: redis.port, url: (port = redis.port) => `redis://127.0.0.1:${port}`, kill, start, stop };
}

async function startDurablePostgres(): Promise<SharedEngine> {
  const postgres = await startPostgres();
  const { crash: kill, start, stop } = postgres;
  const own = new URL(postgres.url());
  return { port: Number(own.port), url, kill, start, stop };

  function url(port = Number(own.port)): string {
    return own.href.replace(`:${own.port}/`, `:${port}/`);
  }
}
