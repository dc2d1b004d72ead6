/**
 * A canary of every kind: keys of callers, of operators, of providers, of the collector, and passwords in URLs. All that
 * the server says to anybody is searched for them: answers, errors, the administration, metrics, traces, the log, the
 * database. `secrets.test.ts` has providers that repeat their keys.
 */

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProviderDouble } from '../provider-double.ts';
import { startTraceCollector } from '../trace-collector.ts';
import { type Answer, call } from './client.ts';
import type { OpenApiDocument } from './openapi-document.ts';
import { removeParley, runParley, startParleyWithYaml } from './parley-process.ts';

const canaries = {
  'a key of API_KEYS': 'CANARY-static-key-0001',
  'the admin token': 'CANARY-admin-token-0002',
  'a key of a provider': 'CANARY-provider-key-0003',
  'a key of a provider in the YAML': 'CANARY-yaml-key-0004',
  'a key in a header': 'CANARY-header-key-0005',
  'a password in a URL': 'CANARY-password-0006',
  'the key of the collector': 'CANARY-collector-key-0007',
  'a wrong key': 'CANARY-wrong-key-0008',
  'a wrong admin token': 'CANARY-wrong-token-0009',
};

const ADMIN = { 'x-admin-token': canaries['the admin token'] };
const ADA = { authorization: `Bearer ${canaries['a key of API_KEYS']}` };

test('no secret of any kind is in anything that the server says', async (context) => {
  const double = await startProviderDouble();
  const collector = await startTraceCollector();
  const withPassword = double.url.replace('http://', `http://user:${canaries['a password in a URL']}@`);
  const parley = await startParleyWithYaml(
    {
      providers: [
        {
          name: 'yaml',
          base_url: double.url,
          api_key: canaries['a key of a provider in the YAML'],
          model: 'm',
        },
        {
          name: 'header',
          base_url: double.url,
          headers: { 'Api-Key': canaries['a key in a header'] },
          model: 'm',
        },
        { name: 'password', base_url: withPassword, model: 'm' },
      ],
    },
    {
      LOG_LEVEL: 'trace',
      API_KEYS: `ada:${canaries['a key of API_KEYS']}`,
      ADMIN_TOKEN: canaries['the admin token'],
      OPENAI_API_KEY: canaries['a key of a provider'],
      OPENAI_BASE_URL: double.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `x-key=${canaries['the key of the collector']}`,
    },
  );
  context.after(async () => {
    await removeParley(parley);
    await Promise.all([double.close(), collector.close()]);
  });

  const seen: { where: string; text: string }[] = [];
  const say = async (method: string, path: string, headers: Record<string, string>, body?: object) => {
    const answer = await call(parley.url, method, path, body, headers);
    seen.push({ where: `${method} ${path}`, text: JSON.stringify([answer.body, ...answer.headers]) });
    return answer;
  };

  // Keys that are made are told once, in the answer that makes them, which is not searched for them.
  const made: string[] = [];
  const make = async (path: string, body: object) => {
    const answer = await call(parley.url, 'POST', path, body, ADMIN);
    assert.equal(answer.status, 201);
    made.push(answer.body.key.key ?? answer.body.key);
    return answer.body;
  };
  const client = await make('/admin/clients', { name: 'shop' });
  const rotated = await make(`/admin/keys/${client.key.id}/rotate`, { grace_seconds: 60 });
  const { output } = await runParley(
    parley.directory,
    {
      APP_CONFIG_FILE: 'parley.yaml',
      PORT: new URL(parley.url).port,
      ADMIN_TOKEN: canaries['the admin token'],
      API_KEYS: `ada:${canaries['a key of API_KEYS']}`,
    },
    ['keys', 'create', 'desk'],
  );
  made.push(/pk_\w+/.exec(output)?.[0] ?? assert.fail(output));

  const sessionIds: string[] = [];
  const keys = [ADA, ...made.map((key) => ({ 'x-api-key': key }))];
  for (const headers of keys) {
    for (const provider of ['openai', 'yaml', 'header', 'password']) {
      const { body: session } = await say('POST', '/sessions', headers, { provider, fallback_providers: [] });
      sessionIds.push(session.id);
      await say('POST', `/sessions/${session.id}/messages`, headers, { content: 'one' });
      // Two failures take a pause between them, which one caller shows as well as four.
      if (headers !== ADA) continue;
      double.respondOnce({ status: 500 }, { status: 500 });
      await say('POST', `/sessions/${session.id}/messages`, headers, { content: 'two', stream: true });
      await say('GET', `/sessions/${session.id}/turns`, headers);
    }
  }
  for (const path of ['/sessions', '/no-such-path', '/providers']) {
    for (const name of ['authorization', 'x-api-key']) {
      const wrong = canaries['a wrong key'];
      await say('GET', path, { [name]: name === 'authorization' ? `Bearer ${wrong}` : wrong });
    }
  }
  await say('GET', '/admin/clients', { 'x-admin-token': canaries['a wrong admin token'] });
  await readEverything(say, { client_id: client.id, key_id: rotated.id, session_id: sessionIds[0] ?? '' });
  await parley.stop();

  const said = double.requests.map(({ headers }) => JSON.stringify(headers)).join();
  for (const kind of [
    'a key of a provider',
    'a key of a provider in the YAML',
    'a key in a header',
  ] as const) {
    assert.ok(said.includes(canaries[kind]), `${kind} was sent to its provider`);
  }
  assert.ok(collector.spans().length > 50, 'there are traces to be searched');
  assert.ok(JSON.stringify(collector.posts[0]?.headers).includes(canaries['the key of the collector']));
  for (const { text } of collector.posts) seen.push({ where: 'a trace', text });
  seen.push({ where: 'the log', text: parley.output() });
  for (const file of await readdir(join(parley.directory, 'data'))) {
    seen.push({ where: file, text: await readFile(join(parley.directory, 'data', file), 'latin1') });
  }
  for (const { where, text } of seen) {
    for (const [kind, canary] of Object.entries(canaries)) {
      assert.ok(!text.includes(canary), `${kind} is in ${where}: ${text.slice(0, 2000)}`);
    }
    for (const key of made) assert.ok(!text.includes(key), `a key that was made is in ${where}`);
  }
});

type Say = (method: string, path: string, headers: Record<string, string>) => Promise<Answer>;

/** Reads all that the document says can be read, as a caller and as an operator. */
async function readEverything(say: Say, known: Record<string, string>): Promise<void> {
  const { body: document }: Answer<OpenApiDocument> = await say('GET', '/openapi.json', {});
  let read = 0;
  for (const [template, operations] of Object.entries(document.paths)) {
    if (operations['get'] === undefined) continue;
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => known[name] ?? 'x');
    const { status } = await say('GET', path, template.startsWith('/admin') ? ADMIN : ADA);
    if (status === 200) read += 1;
  }
  await say('GET', '/metrics', { accept: 'text/plain' });
  assert.ok(read >= 15, `only ${read} could be read`);
}
