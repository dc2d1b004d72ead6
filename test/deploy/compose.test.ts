/** compose.yaml held against the schema of Compose, and against what Parley, nginx and the Dockerfile say. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { DCLinter } from 'dclint';
import { parse } from 'yaml';
import { settings } from '../../src/config/schema.ts';
import { loadTexts } from '../load-texts.ts';
import { upstreamServers } from './nginx-server.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const path = join(ROOT, 'compose.yaml');
const text = readFileSync(path, 'utf8');
const { services, networks, volumes } = parse(text, { merge: true });
const servers = Object.keys(services).filter((name) => name.startsWith('parley-'));

/** With the defaults that the file has for variables. */
const interpolated = (value: string) => value.replace(/\$\{\w+:-(.*?)\}/g, '$1');

describe('compose.yaml', () => {
  it('fits the schema of Compose', () => {
    assert.deepEqual(schemaProblems(path), []);
  });

  it('is held against a schema that finds mistakes', () => {
    const directory = mkdtempSync(join(tmpdir(), 'parley-compose-'));
    try {
      const wrong = join(directory, 'compose.yaml');
      writeFileSync(wrong, text.replaceAll('read_only: true', 'readonly: true'));
      assert.notDeepEqual(schemaProblems(wrong), []);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('has the servers that nginx knows', () => {
    const known = upstreamServers().map((line) => /server (\S+):8000 /.exec(line)?.[1]);
    assert.deepEqual(known, servers);
    assert.ok(servers.length > 1);
    for (const name of servers) {
      assert.ok(services[name].networks.some((network: string) => services.nginx.networks.includes(network)));
      assert.ok(name in services.nginx.depends_on);
    }
  });

  it('gives the servers settings that Parley takes, and the same to each', () => {
    const [first] = servers.map((name) => services[name]);
    for (const name of servers) assert.deepEqual(services[name], first);
    const env = Object.fromEntries(
      Object.entries(first.environment as Record<string, string>).map(([name, value]) => [
        name,
        interpolated(value),
      ]),
    );
    const config = loadTexts({ env });
    assert.equal(config.port, 8000);
    assert.equal(config.trustProxy, '1');
    assert.deepEqual([config.databaseUrl, config.redisUrl], ['redis://redis:6379', 'redis://redis:6379']);
    assert.equal(config.adminHost, '127.0.0.1');
    for (const name of Object.keys(env)) assert.ok(name in settings, `${name} is no setting`);
    const seconds = Number.parseInt(first.stop_grace_period, 10);
    assert.ok(seconds > config.shutdownGraceSeconds + 2, 'turns have their time to finish');
  });

  it('publishes nginx alone, and keeps the stores to themselves', () => {
    const published = Object.keys(services).filter((name) => services[name].ports !== undefined);
    assert.deepEqual(published, ['nginx']);
    assert.match(interpolated(services.nginx.ports[0]), /^127\.0\.0\.1:/);
    assert.equal(networks.stores.internal, true);
    for (const name of ['redis', 'postgres']) assert.deepEqual(services[name].networks, ['stores']);
    assert.ok(!services.nginx.networks.includes('stores'));
  });

  it('takes rights and writable files from what serves', () => {
    for (const name of [...servers, 'nginx', 'redis']) {
      const service = services[name];
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ['ALL'], name);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    }
  });

  it('has a Redis that keeps what was answered, in a volume with a name', () => {
    const words: string[] = services.redis.command;
    const option = (name: string) => words[words.indexOf(name) + 1];
    assert.equal(option('--appendonly'), 'yes');
    assert.equal(option('--appendfsync'), 'always');
    assert.equal(option('--maxmemory-policy'), 'noeviction');
    assert.deepEqual(services.redis.volumes, ['redis:/data']);
    assert.ok('redis' in volumes && 'postgres' in volumes);
  });

  it('starts PostgreSQL only when asked', () => {
    assert.deepEqual(services.postgres.profiles, ['postgres']);
    for (const name of servers) assert.equal(services[name].depends_on.postgres.required, false);
  });
});

function schemaProblems(file: string): string[] {
  const linter = new DCLinter({ rules: {}, quiet: true, debug: false, exclude: [] });
  const results: LintedFile[] = linter.lintFiles([file], false);
  return results
    .flatMap(({ messages }) => messages)
    .filter(({ rule }) => rule === 'invalid-schema' || rule === 'invalid-yaml')
    .map(({ message, line }) => `line ${line}: ${message}`);
}

/** What is read of the linter's findings; its rules of taste are not. */
interface LintedFile {
  messages: readonly { rule: string; message: string; line: number }[];
}
