/** Keys leave the server in one direction only: to the provider that they are for. */

import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Script, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send } from './client.ts';
import { emptyDirectory, removeParley, runParley, startParleyIn } from './parley-process.ts';

/** Recognisable keys, one for each place where one can stand. */
const keys = {
  openai: 'KEY-of-openai-0001',
  openrouter: 'KEY-of-openrouter-0002',
  yaml: 'KEY-of-yaml-0003',
  variable: 'KEY-of-variable-0004',
  header: 'KEY-of-header-0005',
};

function assertNoKey(text: string, where: string): void {
  for (const [name, key] of Object.entries(keys)) {
    assert.equal(text.includes(key), false, `the key of ${name} is in ${where}: ${text.slice(0, 2000)}`);
  }
}

/** Answers of a provider that repeats what it was sent. */
function echoes(said: string): Script[] {
  const error = { message: `bad key: ${said}`, type: said, param: said, code: null, metadata: { raw: said } };
  return [
    ...[400, 401, 403, 404, 422, 429, 500, 503].map((status) => ({
      status,
      error,
      headers: { 'x-echo': said },
    })),
    { status: 400, json: { error: `bad key: ${said}` } },
    { status: 400, json: { error: { message: `${'x'.repeat(490)} ${said}` } } },
    { status: 400, error: { message: `bad key: ${said}`, code: 'context_length_exceeded' } },
    { status: 400, error: { message: `bad key: ${said}`, code: 'content_filter' } },
    { status: 502, html: `<html>${said}</html>` },
    { html: `<html>${said}</html>` },
    { json: { error } },
    { text: [], error: { ...error, code: 400 } },
    { text: ['A '], error },
    { raw: [`data: ${said}\n\n`], contentType: 'text/event-stream' },
    { status: 302, headers: { location: `http://127.0.0.1:9/${said.length}` } },
  ];
}

test('no key is in any answer, any output or the database', async (context) => {
  const double = await startProviderDouble();
  const directory = await emptyDirectory();
  const providers = [
    { name: 'yaml', base_url: double.url, api_key: keys.yaml, model: 'm' },
    { name: 'variable', base_url: double.url, api_key: '${LOCAL_KEY}', model: 'm' },
    { name: 'header', base_url: double.url, headers: { 'Api-Key': keys.header }, model: 'm' },
  ];
  await writeFile(join(directory, 'parley.yaml'), JSON.stringify({ providers }));
  await writeFile(join(directory, '.env'), `OPENROUTER_KEY=${keys.openrouter}\n`);
  const parley = await startParleyIn(directory, {
    APP_CONFIG_FILE: 'parley.yaml',
    OPENAI_API_KEY: keys.openai,
    OPENAI_BASE_URL: double.url,
    OPENROUTER_BASE_URL: double.url,
    LOCAL_KEY: keys.variable,
    LOG_LEVEL: 'trace',
  });
  context.after(async () => {
    await removeParley(parley);
    await double.close();
  });
  const seen: string[] = [];
  const see = (answer: { headers: Headers; body: unknown }) =>
    seen.push(JSON.stringify([answer.body, ...answer.headers]));

  // A request that does not carry the key of a provider is told nothing, and that is found below.
  const next = new Map<string, Script>();
  double.respond(({ headers }) => {
    const sent = Object.values(headers).join();
    const key = [...next.keys()].find((one) => sent.includes(one)) ?? '';
    const script = next.get(key) ?? { text: 'Nothing else.' };
    next.delete(key);
    return script;
  });
  // Side by side, as each is tried again after a pause.
  const conversations = Object.entries(keys).map(async ([provider, key]) => {
    const sessionId = await newSession(parley.url, { provider, fallback_providers: [] });
    const said = `Authorization: Bearer ${key}, ${key}`;
    for (const script of echoes(said)) {
      for (const stream of [false, true]) {
        next.set(key, script);
        see(await send(parley.url, sessionId, 'Hello', { stream }));
      }
      assert.equal(next.has(key), false, 'the key was sent');
    }
    for (const path of ['', '/turns?limit=100', '/messages', '/window']) {
      see(await call(parley.url, 'GET', `/sessions/${sessionId}${path}`));
    }
  });
  await Promise.all(conversations);
  for (const path of [
    '/providers',
    '/health',
    '/metrics',
    '/sessions',
    '/openapi.json',
    '/docs',
    '/nowhere',
  ]) {
    see(await call(parley.url, 'GET', path));
  }
  see(await call(parley.url, 'GET', '/metrics', undefined, { accept: 'text/plain' }));
  await parley.stop();

  for (const text of seen) assertNoKey(text, 'an answer');
  assertNoKey(parley.output(), 'the output');
  const files = await readdir(join(directory, 'data'));
  assert.ok(files.includes('parley.db'));
  for (const file of files) assertNoKey(await readFile(join(directory, 'data', file), 'latin1'), file);
});

test('settings that are wrong are named without the keys in them', async () => {
  const directory = await emptyDirectory();
  const run = async (yaml: string, env: Record<string, string>) => {
    await writeFile(join(directory, 'parley.yaml'), yaml);
    const { code, output } = await runParley(directory, {
      APP_CONFIG_FILE: 'parley.yaml',
      PORT: '0',
      ...env,
    });
    assert.equal(code, 78, output);
    assertNoKey(output, 'the output');
    return output;
  };
  try {
    const twoLines = await run('', {
      OPENAI_API_KEY: `${keys.openai}\nx`,
      OPENROUTER_KEY: `${keys.openrouter}…`,
    });
    assert.match(twoLines, /OPENAI_API_KEY/);
    assert.match(twoLines, /OPENROUTER_KEY/);
    await run(`openai_api_kee: ${keys.openai}\n`, {});
    await run(`openai_api_key: ${keys.openai}\n  bad: [indent\n`, {});
    await run(`openai_api_key: "${keys.openai}\n`, {});
    await run(`openai_api_key: [${keys.openai}]\n`, {});
    await run(
      `providers:\n  - name: x\n    api_key: "${keys.yaml}…"\n    headers: {A: "${keys.header}…"}\n`,
      {},
    );
    await run(`providers:\n  - name: x\n    api_kee: ${keys.yaml}\n    api_key: [${keys.yaml}]\n`, {});
    await run(`providers:\n  - ${keys.yaml}\n`, {});
    await run('', { OPENAI_BASE_URL: `nowhere://user:${keys.openai}@host` });
    await run('', { DATABASE_URL: `mysql://user:${keys.openai}@host/db` });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
