/**
 * A PgBouncer between the tests of one file and their PostgreSQL: it gives each transaction to whichever of a few
 * connections is free, as the proxies of hosted databases do.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort, unprivileged } from './postgres-server.ts';

/** The path of the program; undefined if it is not here. */
export function findPgBouncer(): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return directories
    .map((directory) => join(directory, 'pgbouncer'))
    .find((path) => globSync(path).length > 0);
}

/**
 * Starts it before the server at that URL; gives the URL that leads through it, and what ends it.
 * @param connections that it makes to the server at most
 */
export async function startPgBouncer(
  program: string,
  server: string,
  connections: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const { hostname, port: serverPort } = new URL(server);
  const directory = mkdtempSync(join(tmpdir(), 'parley-pgbouncer-'));
  const identity = unprivileged();
  if (identity !== null) chownSync(directory, identity.uid, identity.gid);
  const port = await freePort();
  const file = join(directory, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=${hostname} port=${serverPort} user=parley
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
`,
  );
  const child = spawn(program, [file], { ...identity, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  await new Promise<void>((resolve, reject) => {
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (lines.length < 100) lines.push(line);
      if (line.includes('process up')) resolve();
    });
    child.once('exit', () => reject(new Error(`PgBouncer did not start:\n${lines.join('\n')}`)));
  });
  const url = new URL(server);
  url.port = String(port);
  return {
    url: url.href,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
