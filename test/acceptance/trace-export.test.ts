/** Where traces go to, and that nobody suffers when they get nowhere. */

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { call, newSession, send } from './client.ts';
import { emptyDirectory, outputWith, removeParley, runParley, startParley } from './parley-process.ts';
import { startTracedParley } from './traced-parley.ts';

const LOST = 'traces could not be sent and are lost, until they can be sent again';

/** More requests than the spans of one post. */
const MANY = 600;

/** Settings of a process in which `code` sees every module that is asked for, as `specifier`. */
function watchingModules(code: string): Record<string, string> {
  const hook = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(specifier, context, next) { ${code} return next(specifier, context); } });`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` };
}

test('spans are posted to /v1/traces below the endpoint, with the headers of the settings', async (context) => {
  const { url, collector, spans } = await startTracedParley(context, {
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%3Db, X-Team=core',
  });
  await call(url, 'GET', '/health');
  const span = (await spans()).find(({ name }) => name === 'GET /health');
  assert.equal(span?.resource['service.name'], 'parley');
  const [post] = collector.posts;
  assert.deepEqual(
    [post?.path, post?.headers['x-key'], post?.headers['x-team']],
    ['/v1/traces', 'a=b', 'core'],
  );
});

test('a collector that refuses spans is one line of the log, and so is its return', async (context) => {
  const { url, parley, collector } = await startTracedParley(context);
  const posted = async (answer: number, most: number) => {
    collector.respond(answer);
    const before = collector.posts.length;
    while (collector.posts.length < before + most) {
      for (let count = 0; count < MANY; count += 1) await call(url, 'GET', '/health');
    }
  };
  await posted(400, 2);
  await outputWith(parley, (output) => output.includes(LOST));
  await posted(200, 2);
  await outputWith(parley, (output) => output.includes('traces are sent again'));
  await parley.stop();
  const lines = parley.logLines().filter(({ msg }) => String(msg).startsWith('traces '));
  assert.deepEqual(
    lines.map(({ msg, level, reason }) => ({ msg, level, reason })),
    [
      { msg: LOST, level: 40, reason: 400 },
      { msg: 'traces are sent again', level: 30, reason: undefined },
    ],
  );
});

test('a collector that never answers keeps no turn waiting, and the server from closing for a moment only', async (context) => {
  const { url, parley, collector } = await startTracedParley(context);
  collector.respond('never');
  const sessionId = await newSession(url);
  assert.equal((await send(url, sessionId, 'Hello')).status, 200);
  assert.equal(await parley.stop(), 0);
  assert.deepEqual(
    parley.logLines().flatMap(({ msg, reason }) => (msg === LOST ? [reason] : [])),
    ['not sent before the server closed'],
  );
});

test('a collector that is not there keeps nothing from working', async (context) => {
  const { url, parley, collector } = await startTracedParley(context);
  await collector.close();
  const sessionId = await newSession(url);
  assert.equal((await send(url, sessionId, 'Hello')).status, 200);
  assert.equal(await parley.stop(), 0);
  assert.equal(parley.logLines().filter(({ msg }) => msg === LOST).length, 1);
  assert.equal(parley.logLines().findLast(({ msg }) => msg === 'closed')?.['name'], 'traces');
});

test('without what sends traces the start says what to install', async (context) => {
  const directory = await emptyDirectory();
  context.after(() => rm(directory, { recursive: true, force: true }));
  const missing = `if (specifier === '@opentelemetry/sdk-trace') specifier = '@opentelemetry/is-not-there';`;
  const { code, output } = await runParley(directory, {
    PORT: '0',
    DATABASE_URL: 'memory:',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    ...watchingModules(missing),
  });
  assert.equal(code, 1, output);
  assert.match(
    output,
    /OTEL_EXPORTER_OTLP_ENDPOINT is set, but .*npm install @opentelemetry\/context.*sdk-trace/,
  );
});

test('without an endpoint nothing of it is even loaded', async (context) => {
  const noting = `if (specifier.startsWith('@opentelemetry/')) process.stderr.write('asked for ' + specifier + '\\n');`;
  const env = { DATABASE_URL: 'memory:', ...watchingModules(noting) };
  const loaded = async (more: Record<string, string>) => {
    const parley = await startParley({ ...env, ...more });
    context.after(() => removeParley(parley));
    await send(parley.url, await newSession(parley.url), 'Hello');
    await parley.stop('SIGKILL');
    return new Set([...parley.output().matchAll(/asked for (\S+)/g)].map(([, specifier]) => specifier));
  };
  assert.deepEqual(await loaded({}), new Set(['@opentelemetry/api']));
  const exporting = await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
  assert.ok(exporting.has('@opentelemetry/sdk-trace'), 'the test would see it');
});

test('without an endpoint no trace is passed on', async (context) => {
  const { url, double, parley } = await startTracedParley(context, { OTEL_EXPORTER_OTLP_ENDPOINT: '' });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  assert.equal((await send(url, await newSession(url), 'Hello', {}, { traceparent })).status, 200);
  assert.equal(double.last.headers['traceparent'], undefined);
  await parley.stop();
  assert.ok(parley.logLines().every((line) => !('trace_id' in line)));
});
