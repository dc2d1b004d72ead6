/** What the operator meets: the printed text, settings and their problems, and starts that are refused. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { startProviderDouble } from '../provider-double.ts';
import { call, newSession, send } from './client.ts';
import {
  emptyDirectory,
  outputWith,
  type ParleyProcess,
  removeParley,
  runParley,
  startParley,
  startParleyIn,
  startParleyWithYaml,
} from './parley-process.ts';

async function start(context: TestContext, env: Record<string, string> = {}): Promise<ParleyProcess> {
  const parley = await startParley(env);
  context.after(() => removeParley(parley));
  return parley;
}

async function directory(context: TestContext): Promise<string> {
  const path = await emptyDirectory();
  context.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('it prints where it listens, who answers, where the data is, and a command that works as printed', async (context) => {
  const parley = await start(context);
  await outputWith(parley, (output) => /Try it:[\s\S]*\n\n/.test(output));
  const output = parley.output();
  assert.match(output, /^Parley \d+\.\d+\.\d+ listens on http:\/\/127\.0\.0\.1:\d+$/m);
  assert.match(output, /^ +provider +demo, model demo-1 \(a demonstration.*OPENAI_API_KEY/m);
  assert.match(output, /^ +data +data\/parley\.db$/m);
  assert.match(output, /^ +access +open to whoever reaches it; API_KEYS closes it$/m);
  assert.ok(existsSync(join(parley.directory, 'data', 'parley.db')));
  assert.equal((await call(parley.url, 'GET', '/docs')).status, 200);

  const command = /Try it:\n([\s\S]*?)\n\n/.exec(output)?.[1] ?? '';
  assert.match(command, /^ +curl /);
  const { stdout } = await promisify(execFile)('sh', ['-c', command]);
  const answer = JSON.parse(stdout);
  assert.equal(answer.provider, 'demo');
  assert.match(answer.message.content, /demonstration/);
  assert.equal((await call(parley.url, 'GET', '/sessions')).body.data[0].id, answer.session_id);
});

test('with keys it says so, and the command works with one of them', async (context) => {
  const parley = await start(context, { API_KEYS: 'ada:key-of-ada' });
  await outputWith(parley, (output) => /Try it:[\s\S]*\n\n/.test(output));
  const output = parley.output();
  assert.match(output, /^ +access +with a key$/m);
  assert.doesNotMatch(output, /key-of-ada/);
  const command = /Try it:\n([\s\S]*?)\n\n/.exec(output)?.[1] ?? '';
  const { stdout } = await promisify(execFile)('sh', ['-c', command.replaceAll('YOUR_KEY', 'key-of-ada')]);
  assert.equal(JSON.parse(stdout).provider, 'demo');
});

test('the data may be elsewhere, or nowhere', async (context) => {
  const inMemory = await start(context, { DATABASE_URL: 'memory:' });
  assert.match(inMemory.output(), /^ +data +in memory, gone when the server stops$/m);
  assert.equal(existsSync(join(inMemory.directory, 'data')), false);
  await newSession(inMemory.url);
  await inMemory.stop();
  const again = await inMemory.restart();
  context.after(() => removeParley(again));
  assert.deepEqual((await call(again.url, 'GET', '/sessions')).body.data, []);

  const elsewhere = await start(context, { DATABASE_URL: 'sqlite:deep/er/my.db' });
  assert.match(elsewhere.output(), /^ +data +deep\/er\/my\.db$/m);
  assert.ok(existsSync(join(elsewhere.directory, 'deep/er/my.db')));
});

test('environment goes over .env, .env over the YAML, the YAML over defaults', async (context) => {
  const double = await startProviderDouble();
  context.after(() => double.close());
  const path = await directory(context);
  const yaml = {
    openai_base_url: double.url,
    openai_model: 'of-yaml',
    memory_max: 7,
    openrouter_model: 'of/yaml',
  };
  await writeFile(join(path, 'parley.yaml'), JSON.stringify(yaml));
  const dotenv = [
    'APP_CONFIG_FILE=parley.yaml',
    'OPENAI_MODEL=of-dotenv',
    'OPENROUTER_KEY="k"',
    'MEMORY_MAX=',
  ];
  await writeFile(join(path, '.env'), dotenv.join('\n'));

  const parley = await startParleyIn(path, {});
  context.after(() => removeParley(parley));
  const models = async (url: string) =>
    Object.fromEntries(
      (await call(url, 'GET', '/providers')).body.data.map((one: any) => [one.name, one.default_model]),
    );
  assert.deepEqual(await models(parley.url), { openai: 'of-dotenv', openrouter: 'of/yaml' });
  // Empty is unset: the YAML's holds.
  assert.equal((await call(parley.url, 'POST', '/sessions', { memory_limit: 7 })).status, 201);
  assert.equal((await call(parley.url, 'POST', '/sessions', { memory_limit: 8 })).status, 400);
  await send(parley.url, await newSession(parley.url), 'Hello');
  assert.equal(double.last.body.model, 'of-dotenv');
  await parley.stop();

  const over = await parley.restart({ OPENAI_MODEL: 'of-environment' });
  context.after(() => removeParley(over));
  assert.equal((await models(over.url))['openai'], 'of-environment');
});

test('every wrong setting is named at once, and the exit code is 78', async (context) => {
  const path = await directory(context);
  const yaml = {
    prot: 1,
    memory_default: 'many',
    providers: [{ name: 'x' }, { name: 'y', base_url: 'nowhere' }],
  };
  await writeFile(join(path, 'parley.yaml'), JSON.stringify(yaml));
  const env = {
    APP_CONFIG_FILE: 'parley.yaml',
    PORT: '99999',
    LOG_LEVEL: 'loud',
    PROVIDER_TIMEOUT_SECONDS: 'soon',
    DATABASE_URL: 'mysql://x',
    DEFAULT_PROVIDER: 'nobody',
  };
  const { code, output } = await runParley(path, env);
  assert.equal(code, 78);
  const places = ['PORT', 'LOG_LEVEL', 'PROVIDER_TIMEOUT_SECONDS', 'DATABASE_URL', 'DEFAULT_PROVIDER'];
  for (const name of places) assert.match(output, new RegExp(`^  ${name} \\(environment\\): `, 'm'));
  for (const place of ['prot', 'MEMORY_DEFAULT', 'providers[0].base_url', 'providers[1].base_url']) {
    assert.ok(output.includes(`  ${place} (`), `${place} in ${output}`);
  }
  assert.doesNotMatch(output, /\n\s+at /);
  assert.equal(existsSync(join(path, 'data')), false);
});

test('beyond loopback it does not listen, unless told that this is meant', async (context) => {
  const path = await directory(context);
  const { code, output } = await runParley(path, { PORT: '0', HOST: '0.0.0.0' });
  assert.equal(code, 78);
  assert.match(output, /HOST .*ALLOW_OPEN=true/);
  const open = await start(context, { HOST: '0.0.0.0', ALLOW_OPEN: 'true' });
  await outputWith(open, (text) => text.includes('whoever reaches this server can use it'));
  const { port } = new URL(open.url);
  assert.equal((await call(`http://127.0.0.1:${port}`, 'GET', '/health')).status, 200);
});

test('with a key of any kind it listens beyond loopback', async (context) => {
  const settings = await start(context, { HOST: '0.0.0.0', API_KEYS: 'ada:key-of-ada' });
  assert.equal((await call(settings.url, 'GET', '/sessions')).status, 401);
  const path = await directory(context);
  assert.equal((await runParley(path, {}, ['keys', 'create', 'shop'])).code, 0);
  const managed = await startParleyIn(path, { HOST: '0.0.0.0', ALLOW_OPEN: 'true' });
  await outputWith(managed, (text) => text.includes('ALLOW_OPEN is set: there are keys'));
  assert.equal(await managed.stop(), 0);
  const again = await startParleyIn(path, { HOST: '0.0.0.0' });
  assert.equal((await call(again.url, 'GET', '/sessions')).status, 401);
  assert.equal(await again.stop(), 0);
});

test('a port that is taken is said in one line, and the database is free again', async (context) => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as { port: number };
  const path = await directory(context);
  const taken = await runParley(path, { PORT: String(port) });
  blocker.close();
  assert.equal(taken.code, 1);
  assert.match(taken.output, new RegExp(`could not start: .*address already in use.*:${port}`));
  assert.doesNotMatch(taken.output, /\n\s+at /);
  const parley = await startParleyIn(path, {});
  assert.equal(await parley.stop(), 0);
});

test('a data directory that cannot be made is said without a stack trace', async (context) => {
  const path = await directory(context);
  await writeFile(join(path, 'data'), 'a file');
  const { code, output } = await runParley(path, { PORT: '0' });
  assert.equal(code, 1);
  assert.match(output, /could not start: .*data/);
  assert.doesNotMatch(output, /\n\s+at /);
});

test('a YAML file of providers starts them', async (context) => {
  const providers = [{ name: 'Local', base_url: 'http://127.0.0.1:9/v1', model: 'm' }];
  const parley = await startParleyWithYaml({ providers });
  context.after(() => removeParley(parley));
  assert.match(parley.output(), /^ +provider +local, model m$/m);
});

test('--help, --version and what is neither', async (context) => {
  const path = await directory(context);
  const { version } = JSON.parse(await readFile(resolve(import.meta.dirname, '../../package.json'), 'utf8'));
  const help = await runParley(path, {}, ['--help']);
  assert.equal(help.code, 0);
  assert.match(help.output, /usage:\n {2}parley \[serve\]/);
  const shown = await runParley(path, {}, ['--version']);
  assert.deepEqual([shown.code, shown.output, shown.stdout], [0, `${version}\n`, `${version}\n`]);
  for (const args of [['dance'], ['serve', 'now'], ['--loud']]) {
    const wrong = await runParley(path, {}, args);
    assert.equal(wrong.code, 64);
    assert.match(wrong.output, /^parley: .*(dance|now|loud)/);
    assert.match(wrong.output, /usage:/);
  }
  assert.equal(existsSync(join(path, 'data')), false);
});
