/**
 * A real Redis for tests: a process of its own on a free port, with its data in a temporary directory, stopped by its
 * process id. Which server is run decides `REDIS_SERVER`, else `redis-server` or `valkey-server` of the PATH.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';

export interface RedisServer {
  port: number;
  /** Where a store finds it, with keys of its own for each call. */
  url(): string;
  /** Runs a command as an operator would. */
  command(...words: string[]): Promise<unknown>;
  /** Ends the process with nothing written or said. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data. */
  start(): Promise<void>;
  /** The process stands still, and its connections stay open. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Whether there is a server to run; tests that need one are skipped without. */
export const redisBinary: string | null = findBinary();

/** Why tests are skipped, for the report; false if they are not. */
export const skipWithoutRedis: string | false =
  redisBinary === null && 'there is no redis-server on this machine: apt-get install redis-server';

/** @param options more of the command line, such as `--appendfsync always` */
export async function startRedis(...options: string[]): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'parley-redis-'));
  const port = await freePort();
  const words = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', ''];
  let server: ChildProcess | null = null;
  let prefixes = 0;
  await start();

  return {
    port,
    url: () => `redis://127.0.0.1:${port}/?prefix=test${process.pid}-${(prefixes += 1)}:`,
    command,
    kill: () => end('SIGKILL'),
    start,
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    async stop() {
      await end('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };

  async function start(): Promise<void> {
    const child = spawn(redisBinary ?? 'redis-server', [...words, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    server = child;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('Ready to accept connections')) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`redis-server did not start with ${[...words, ...options].join(' ')}`);
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server === null) return;
    const child = server;
    server = null;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  function command(...given: string[]): Promise<unknown> {
    return redisCommand(port, ...given);
  }
}

/** One command over a connection of its own, as an operator would send it. */
export async function redisCommand(port: number, ...words: string[]): Promise<unknown> {
  const client = await createClient({ RESP: 2, socket: { host: '127.0.0.1', port } }).connect();
  try {
    return await client.sendCommand(words);
  } finally {
    client.destroy();
  }
}

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function findBinary(): string | null {
  const named = process.env['REDIS_SERVER'];
  const candidates = named === undefined ? ['redis-server', 'valkey-server'] : [named];
  return candidates.find((name) => spawnSync(name, ['--version']).status === 0) ?? null;
}
