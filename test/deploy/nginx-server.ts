/**
 * A real nginx with the configuration of `deploy/nginx`, before servers of a test: a process of its own on a free port.
 * Nothing of the configuration is replaced but addresses and paths, each of which has to be there.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface NginxServer {
  url: string;
  /** Takes these servers from now on, and resolves when the workers that knew others take nothing new any more. */
  reload(servers: readonly UpstreamServer[]): Promise<void>;
  /** What it has written. */
  output(): string;
  stop(): Promise<void>;
}

export interface UpstreamServer {
  /** Such as `http://127.0.0.1:8000`. */
  url: string;
  /** As an operator marks it before stopping it. */
  down?: boolean;
}

export const CONFIGURATION: string = resolve(import.meta.dirname, '../../deploy/nginx');

/** Why tests are skipped, for the report; false if they are not. */
export const skipWithoutNginx: string | false =
  findNginx() === null && 'there is no nginx on this machine: apt-get install nginx-light';

/** The program; null if it is not here. Debian's place for it is not on every user's PATH. */
export function findNginx(): string | null {
  return ['nginx', '/usr/sbin/nginx'].find((name) => spawnSync(name, ['-v']).status === 0) ?? null;
}

export async function startNginx(port: number, servers: readonly UpstreamServer[]): Promise<NginxServer> {
  const directory = mkdtempSync(join(tmpdir(), 'parley-nginx-'));
  // Workers of a master that is root are another user's.
  chmodSync(directory, 0o755);
  const main = join(directory, 'nginx.conf');
  writeFileSync(
    main,
    replaced('nginx.conf', [
      // The directory is itself in /tmp.
      ['/tmp/', `${directory}/`],
      ['/etc/nginx/parley/', `${directory}/`],
    ]),
  );
  writeFileSync(
    join(directory, 'parley.conf'),
    replaced('parley.conf', [['listen 8080;', `listen 127.0.0.1:${port};`]]),
  );
  writeUpstream();

  let text = '';
  const options = ['-p', directory, '-c', main, '-g', 'daemon off; error_log stderr notice;'];
  const child: ChildProcess = spawn(findNginx() ?? 'nginx', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  const ended = once(child, 'exit');
  const endNow = () => child.kill('SIGKILL');
  process.on('exit', endNow);
  await written(() => workers() > 0);

  return {
    url: `http://127.0.0.1:${port}`,
    reload: async (now) => {
      writeUpstream(now);
      const before = { all: workers(), leaving: leaving() };
      child.kill('SIGHUP');
      const old = before.all - before.leaving;
      await written(() => workers() >= before.all + old && leaving() >= before.leaving + old);
    },
    output: () => text,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      process.off('exit', endNow);
      rmSync(directory, { recursive: true, force: true });
    },
  };

  /** The upstream of the compose file with other servers in the places of its own, and as many as there are. */
  function writeUpstream(now = servers): void {
    const lines = upstreamServers();
    const [first = ''] = lines;
    const given = now.map(({ url, down }) =>
      first.replace(/parley-1:8000/, new URL(url).host).replace(/;$/, down ? ' down;' : ';'),
    );
    const changed = lines.map((line, index): [string, string] => [line, index === 0 ? given.join('\n') : '']);
    writeFileSync(join(directory, 'upstream.conf'), replaced('upstream.conf', changed));
  }

  function workers(): number {
    return text.match(/start worker process \d+/g)?.length ?? 0;
  }

  function leaving(): number {
    return text.match(/gracefully shutting down/g)?.length ?? 0;
  }

  async function written(test: () => boolean): Promise<void> {
    while (!test()) {
      if (child.exitCode !== null) throw new Error(`nginx did not start:\n${text}`);
      await Promise.race([once(child.stderr ?? child, 'data'), ended]);
    }
  }
}

/** The lines of upstream.conf that name a server. */
export function upstreamServers(): string[] {
  return readFileSync(join(CONFIGURATION, 'upstream.conf'), 'utf8').match(/^ *server .*;$/gm) ?? [];
}

function replaced(name: string, changes: readonly [string, string][]): string {
  const path = join(CONFIGURATION, name);
  if (!existsSync(path)) throw new Error(`there is no ${path}`);
  return changes.reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${name} has no "${from}"`);
      return text.replaceAll(from, to);
    },
    readFileSync(path, 'utf8'),
  );
}
