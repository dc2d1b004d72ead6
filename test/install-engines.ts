/**
 * Makes sure that the engines which the tests run against are on this machine: Redis, PostgreSQL and the pooler before
 * it, nginx, and OpenSSL for certificates. As root on Debian or its like it installs what is missing from the
 * distribution; otherwise it names the command. It always ends well: tests of an engine that is not there are skipped and
 * say so.
 *
 * `npm run test:only` runs it before the tests, and again with `--report` after them, to have the last word.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, rmSync, writeFileSync } from 'node:fs';
import { skipWithoutOpenssl } from './certificates.ts';
import { findNginx } from './deploy/nginx-server.ts';

interface Engine {
  name: string;
  /** Debian's package. */
  package: string;
  isThere(): boolean;
}

const engines: readonly Engine[] = [
  {
    name: 'Redis',
    package: 'redis-server',
    isThere: () => [process.env['REDIS_SERVER'] ?? 'redis-server', 'valkey-server'].some(runs),
  },
  {
    name: 'PostgreSQL',
    package: 'postgresql',
    isThere: () => runs('postgres') || globSync('/usr/lib/postgresql/*/bin/postgres').length > 0,
  },
  { name: 'PgBouncer', package: 'pgbouncer', isThere: () => runs('pgbouncer') },
  { name: 'OpenSSL', package: 'openssl', isThere: () => skipWithoutOpenssl === false },
  { name: 'nginx', package: 'nginx-light', isThere: () => findNginx() !== null },
];

const before = missing();
if (before.length > 0 && mayInstall() && !process.argv.includes('--report')) install(before);
report(missing());

function missing(): Engine[] {
  return engines.filter((engine) => !engine.isThere());
}

function runs(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && runs('apt-get');
}

/** Quietly, and without starting a server: the tests start their own. What apt says is shown if it fails. */
function install(wanted: readonly Engine[]): void {
  const names = wanted.map((engine) => engine.package);
  process.stdout.write(`installing ${names.join(' and ')} for the tests\n`);
  const policy = forbidServices();
  try {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    // apt itself waits for another apt that is under way.
    const options = ['-o', 'DPkg::Lock::Timeout=120', '-qq', '--no-install-recommends', '-y'];
    for (const step of [
      ['update', '-qq'],
      ['install', ...options, ...names],
    ]) {
      const { status, stderr } = spawnSync('apt-get', step, { env: environment, encoding: 'utf8' });
      if (status !== 0) process.stderr.write(`apt-get ${step.join(' ')} failed:\n${stderr}\n`);
    }
  } finally {
    policy();
  }
}

/** Says to dpkg, as Debian's policy has it, that no service is to be started; returns what takes that back. */
function forbidServices(): () => void {
  const path = '/usr/sbin/policy-rc.d';
  if (existsSync(path)) return () => undefined;
  writeFileSync(path, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(path);
}

/** In a frame, so that it is not overlooked. */
function report(left: readonly Engine[]): void {
  if (left.length === 0) return;
  const lines = [
    ...left.map((engine) => `${engine.name} is not on this machine: its tests are SKIPPED.`),
    `On Debian:  apt-get install ${left.map((engine) => engine.package).join(' ')}`,
  ];
  const bar = '='.repeat(Math.max(...lines.map((line) => line.length)));
  process.stderr.write(`\n${[bar, ...lines, bar].join('\n')}\n\n`);
}
