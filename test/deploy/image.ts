/**
 * The image, made by its own steps (`image-steps.ts`) on the Node that it is built on, and started as a container would
 * be: by a user without rights, from files that cannot be written. Installing packages takes a while, so this is
 * `npm run test:image` and no part of the suite.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { call, newSession, send } from '../acceptance/client.ts';
import { healthCommand, lastOf, parseDockerfile } from './dockerfile.ts';
import { imageEnvironment, type MadeImage, makeImage, makeReadOnly } from './image-steps.ts';

const dockerfile = parseDockerfile(readFileSync(resolve(import.meta.dirname, '../../Dockerfile'), 'utf8'));
const final = dockerfile.at(-1)!;

describe('the image', () => {
  let directory: string;
  let image: MadeImage;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'parley-image-'));
    // Its user is another one, and has to get there.
    chmodSync(directory, 0o755);
    image = makeImage(directory, nodeOfBaseImage());
    makeReadOnly(image);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('is small, and holds what a server needs and nothing else', () => {
    const app = readdir(join(image.root, 'app'));
    assert.ok(app.length > 1000);
    assert.deepEqual(
      app.filter((name) => /\.([mc]?ts|map)$/.test(name) && !name.startsWith('dist/')),
      [],
      'types and source maps of packages',
    );
    assert.ok(!app.some((name) => /^node_modules\/(typescript|knip|oxlint|node)\//.test(name)));
    const bytes = app.reduce((sum, name) => sum + statSync(join(image.root, 'app', name)).size, 0);
    assert.ok(bytes < 80 * 2 ** 20, `${Math.round(bytes / 2 ** 20)} MiB`);
  });

  it('does not start beyond loopback without a key', () => {
    const { status, stderr } = parley(['serve']);
    assert.equal(status, 78);
    assert.match(stderr, /HOST.*beyond loopback/);
  });

  it('makes its first key, and answers whoever has it, with nothing but its data written', async (context) => {
    const { stdout: key, stderr } = parley(['keys', 'create', 'shop']);
    assert.match(key, /^pk_\S+\n$/, stderr);
    const written = fingerprint();
    const server = start({ PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    context.after(() => server.process.kill('SIGKILL'));
    const url = await server.listening;
    assert.equal((await call(url, 'GET', '/health')).body.status, 'ok');
    assert.equal((await call(url, 'POST', '/sessions', {})).status, 401);

    const headers = { authorization: `Bearer ${key.trim()}` };
    const { body } = await call(url, 'POST', '/sessions', {}, headers);
    const { status, body: answer } = await send(url, body.id, 'Hello', {}, headers);
    assert.equal(status, 200, JSON.stringify(answer));
    assert.match(answer.message.content, /Hello/);
    assert.ok(readdir(join(image.directory, 'data')).includes('parley.db'));

    assert.match(server.output(), /compile cache.*was accepted/, 'the baked compiled code is used');
    server.process.kill('SIGTERM');
    const [code] = await once(server.process, 'exit');
    assert.equal(code, 0, server.said());
    assert.deepEqual(fingerprint(), written);
  });

  it('tells by its health check whether it lives', async (context) => {
    const [program = '', ...args] = healthCommand(final);
    const server = start({ PORT: '0', ALLOW_OPEN: 'true' });
    context.after(() => server.process.kill('SIGKILL'));
    const url = await server.listening;
    await newSession(url).catch(() => undefined);
    const port = new URL(url).port;
    const check = () => spawnSync(program, args, options({ PORT: port }));
    assert.equal(check().status, 0);
    server.process.kill('SIGTERM');
    await once(server.process, 'exit');
    assert.equal(check().status, 1);
  });

  function options(env: Record<string, string>) {
    return {
      cwd: image.directory,
      env: imageEnvironment(image.root, { ...image.environment, ...env }),
      encoding: 'utf8',
      ...image.identity,
    } as const;
  }

  function parley(args: readonly string[]) {
    const [program = ''] = JSON.parse(lastOf(final, 'ENTRYPOINT')) as string[];
    return spawnSync(program, args, options({}));
  }

  function start(env: Record<string, string>): {
    process: ChildProcess;
    listening: Promise<string>;
    /** All that came, with what the runtime tells of compiled code. */
    output(): string;
    /** Without that. */
    said(): string;
  } {
    const words: string[] = [...JSON.parse(lastOf(final, 'ENTRYPOINT')), ...JSON.parse(lastOf(final, 'CMD'))];
    const { encoding: _, ...rest } = options({ NODE_DEBUG_NATIVE: 'COMPILE_CACHE', ...env });
    const child = spawn(words[0] ?? '', words.slice(1), { ...rest, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const said = () => text.replace(/^\[compile cache\].*\n/gm, '');
    const listening = new Promise<string>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          const port = /listens on http:\/\/0\.0\.0\.0:(\d+)/.exec(text)?.[1];
          if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
        });
      }
      child.once('exit', () => reject(new Error(`it ended before it listened:\n${said()}`)));
    });
    return { process: child, listening, output: () => text, said };
  }

  /** Every file of the image but its data, with when it was written. */
  function fingerprint(): string[] {
    return readdir(image.root)
      .filter((name) => !name.startsWith('var/lib/parley/data/'))
      .map((name) => `${name} ${statSync(join(image.root, name)).mtimeMs}`);
  }
});

function readdir(path: string): string[] {
  return globSync('**/*', { cwd: path }).filter((name) => statSync(join(path, name)).isFile());
}

/** The newest of the line that the image is built on, by way of npm's cache. */
function nodeOfBaseImage(): string {
  const [, line] = /^node:(\d+)-/.exec(final.base) ?? [];
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const binary = `node-${platform}-${process.arch}@${line}`;
  const args = ['exec', '--yes', `--package=${binary}`, '-c', 'node -p process.execPath'];
  return execFileSync('npm', args, { encoding: 'utf8' }).trim().split('\n').at(-1) ?? '';
}
