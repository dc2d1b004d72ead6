/**
 * A PostgreSQL of its own for the tests of one file: on a free port, with its data in a temporary directory, killed,
 * paused and started again as the test says. It uses the binaries of the system and installs none.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import type { Certificate } from './certificates.ts';

export interface PostgresServer {
  /** Of the database `postgres`, or of another, for its superuser; parameters can be appended after `?`. */
  url(database?: string): string;
  /** Runs statements on a connection of its own. */
  execute(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  /** Ends it as a crash would: nothing is written any more, and the next start recovers. */
  crash(): Promise<void>;
  start(): Promise<void>;
  /** Stops every process of it in the middle of what it does; connections stay. The result goes on with them. */
  pause(): Promise<() => void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** What the directory of a new server is filled by: a program that runs where the server will. */
type Fill = (data: string) => [program: string, ...words: string[]];

/** The directory of the newest server binaries here; undefined if there are none. */
export function findPostgres(): string | undefined {
  const versions = globSync('/usr/lib/postgresql/*/bin/postgres').toSorted(
    (one, other) => Number(other.split('/')[4]) - Number(one.split('/')[4]),
  );
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'postgres'));
  const found = [...versions, ...onPath].find((path) => globSync(path).length > 0);
  return found === undefined ? undefined : dirname(found);
}

/** What is quick to start and small, and syncs nothing: no test takes the machine's power away. */
const SETTINGS = {
  fsync: 'off',
  shared_buffers: '32MB',
  max_connections: '60',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
};

/** What a server is started with beside what all tests have. */
export interface PostgresExtras {
  /** Beside the settings of every test, or instead of them. */
  settings?: Readonly<Record<string, string>>;
  /** With which it also takes encrypted connections. */
  certificate?: Certificate;
}

/** Makes a database cluster and starts it. */
export function startPostgres(extras: PostgresExtras = {}): Promise<PostgresServer> {
  const words = ['-U', 'parley', '-E', 'UTF8', '--locale=C', '--auth=trust', '--no-sync'];
  return startFilled((data) => ['initdb', '-D', data, ...words], extras);
}

/** Starts a server that copies another, and can be read; `SELECT pg_promote()` makes it one that can be written to. */
export function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const words = ['-d', primary.url(), '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
  return startFilled((data) => ['pg_basebackup', '-D', data, ...words]);
}

async function startFilled(
  fill: Fill,
  { settings = {}, certificate }: PostgresExtras = {},
): Promise<PostgresServer> {
  const binaries = findPostgres();
  if (binaries === undefined) throw new Error('No PostgreSQL here: apt-get install postgresql');
  const directory = mkdtempSync(join(tmpdir(), 'parley-postgres-'));
  const identity = unprivileged();
  if (identity !== null) chownSync(directory, identity.uid, identity.gid);
  const data = join(directory, 'data');
  const options = { ...identity, cwd: directory, stdio: 'ignore' } as const;
  const [program, ...words] = fill(data);
  execFileSync(join(binaries, program), words, options);
  if (certificate !== undefined) encrypt(data, certificate, identity);
  const port = await freePort();
  const flags = Object.entries({ ...SETTINGS, ...settings }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  let server: ChildProcess | undefined;
  await start();

  return { url, execute, crash: () => end('SIGQUIT'), start, pause, stop };

  function url(database = 'postgres'): string {
    return `postgres://parley@127.0.0.1:${port}/${database}`;
  }

  async function start(): Promise<void> {
    const child = spawn(join(binaries!, 'postgres'), ['-D', data, '-p', String(port), ...flags], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server = child;
    // Also when the tests are ended before they end it.
    const endNow = () => child.kill('SIGQUIT');
    process.once('exit', endNow);
    child.once('exit', () => process.off('exit', endNow));
    const lines: string[] = [];
    const output = createInterface({ input: child.stderr });
    await new Promise<void>((resolve, reject) => {
      output.on('line', (line) => {
        if (lines.length < 100) lines.push(line);
        if (/ready to accept (read-only )?connections/.test(line)) resolve();
      });
      child.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${lines.join('\n')}`)));
    });
  }

  async function execute(sql: string, database?: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: url(database) });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async function pause(): Promise<() => void> {
    const rows = await execute('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
    const processes = [server!.pid!, ...rows.map(({ pid }) => pid as number)];
    for (const one of processes) process.kill(one, 'SIGSTOP');
    return () => processes.forEach((one) => process.kill(one, 'SIGCONT'));
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
  }

  async function stop(): Promise<void> {
    await end('SIGQUIT');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The files have to be the server's own. In its configuration, so that statements can change it again. */
function encrypt(data: string, { certificate, key }: Certificate, identity: Identity): void {
  for (const [from, name] of [
    [certificate, 'server.crt'],
    [key, 'server.key'],
  ] as const) {
    const file = join(data, name);
    writeFileSync(file, readFileSync(from), { mode: 0o600 });
    if (identity !== null) chownSync(file, identity.uid, identity.gid);
  }
  appendFileSync(join(data, 'postgresql.conf'), 'ssl = on\n');
}

type Identity = { uid: number; gid: number } | null;

/** PostgreSQL refuses to run as root: then it runs as its own user, or as nobody. */
export function unprivileged(): Identity {
  if (process.getuid?.() !== 0) return null;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  return user === undefined ? null : { uid: Number(user[2]), gid: Number(user[3]) };
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('No free port.');
  return address.port;
}
