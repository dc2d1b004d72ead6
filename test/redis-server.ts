/**
 * A real Redis for tests: a process of its own on a free port, with its data in a temporary directory, stopped by its
 * process id. Which server is run decides `REDIS_SERVER`, else `redis-server` or `valkey-server` of the PATH.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';

export interface RedisServer {
  port: number;
  /** Where the nodes of a cluster talk to each other. */
  busPort: number;
  /** Where a store finds it, with keys of its own for each call. */
  url(): string;
  /** Runs a command as an operator would. */
  command<Reply = string>(...words: string[]): Promise<Reply>;
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

/** Of a user of Redis who may do what Parley needs: those that docs/redis.md tells operators to give. */
export const RIGHTS: readonly string[] =
  /^ACL SETUSER parley on >password (.+)$/m.exec(readFileSync('docs/redis.md', 'utf8'))?.[1]?.split(' ') ??
  [];

const TRIES = 5;

/** Whether there is a server to run; tests that need one are skipped without. */
export const redisBinary: string | null = findBinary();

/** Why tests are skipped, for the report; false if they are not. */
export const skipWithoutRedis: string | false =
  redisBinary === null && 'there is no redis-server on this machine: apt-get install redis-server';

/** @param options more of the command line, such as `--appendfsync always` */
export function startRedis(...options: string[]): Promise<RedisServer> {
  return startAnywhere('server', options);
}

/** A sentinel, which watches nobody yet. */
export function startSentinel(): Promise<RedisServer> {
  return startAnywhere('sentinel', []);
}

type Role = 'server' | 'sentinel';

async function startAnywhere(role: Role, options: readonly string[]): Promise<RedisServer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await startOn(await freePort(), await freePort(), role, options);
    } catch (error) {
      // Somebody else may have taken the port in between.
      if (tries === TRIES) throw error;
    }
  }
}

async function startOn(
  port: number,
  busPort: number,
  role: Role,
  options: readonly string[],
): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'parley-redis-'));
  const words = ['--port', `${port}`, '--cluster-port', `${busPort}`, '--bind', '127.0.0.1'];
  words.push('--dir', directory, '--save', '', ...options);
  if (role === 'sentinel') {
    // What it comes to know it writes into its configuration, which has to be a file.
    const configuration = join(directory, 'sentinel.conf');
    writeFileSync(configuration, '');
    words.unshift(configuration);
    words.push('--sentinel');
  }
  let server: ChildProcess | null = null;
  let prefixes = 0;
  const endNow = () => server?.kill('SIGKILL');
  process.on('exit', endNow);
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    port,
    busPort,
    url: () => `redis://127.0.0.1:${port}/?prefix=test${process.pid}-${(prefixes += 1)}:`,
    command: (...given) => redisCommand(port, ...given),
    kill: () => end('SIGKILL'),
    start,
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    stop,
  };

  async function start(): Promise<void> {
    const child = spawn(redisBinary ?? 'redis-server', words, { stdio: ['ignore', 'pipe', 'ignore'] });
    server = child;
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (/Ready to accept connections|Sentinel ID is/.test(line)) {
        // Nobody reads what it says from here on, which it does not mind.
        child.stdout.destroy();
        return;
      }
    }
    throw new Error(`redis-server did not start with ${words.join(' ')}:\n${lines.join('\n')}`);
  }

  async function stop(): Promise<void> {
    await end('SIGKILL');
    process.off('exit', endNow);
    rmSync(directory, { recursive: true, force: true });
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
}

/** One command over a connection of its own, as an operator would send it. */
export async function redisCommand<Reply = string>(port: number, ...words: string[]): Promise<Reply> {
  const client = createClient({ RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: false } });
  // A connection that is cut fails the command.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.sendCommand<Reply>(words);
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
