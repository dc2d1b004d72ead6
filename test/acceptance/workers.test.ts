/** Several processes on one port: they serve together, are counted together, are replaced and end together. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startProviderDouble } from '../provider-double.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, send } from './client.ts';
import {
  emptyDirectory,
  outputWith,
  type ParleyProcess,
  removeParley,
  runParley,
  startParley,
} from './parley-process.ts';

test('a store that one process has for itself has one worker', async (context) => {
  for (const url of ['sqlite:data/parley.db', 'memory:']) {
    const { code, output } = await runParley(await emptyDirectory(), {
      WORKERS: '2',
      DATABASE_URL: url,
      PORT: '0',
    });
    assert.equal(code, 78);
    assert.match(output, /WORKERS \(environment\): can be 1 alone with .*redis:\/\/… or postgres:\/\//);
  }
  const parley = await startParley({ WORKERS: 'auto' });
  context.after(() => removeParley(parley));
  assert.equal((await call(parley.url, 'GET', '/health')).status, 200);
});

describe('several workers', { skip: skipWithoutRedis }, () => {
  let redis: RedisServer;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  async function start(context: TestContext, env: Record<string, string> = {}): Promise<ParleyProcess> {
    const settings = { WORKERS: '3', DATABASE_URL: redis.url(), TURN_LEASE_SECONDS: '1', ...env };
    const parley = await startParley(settings);
    context.after(() => removeParley(parley));
    return parley;
  }

  /** The process ids of the workers that have answered requests, each on a connection of its own. */
  async function workers(parley: ParleyProcess): Promise<Set<unknown>> {
    await Promise.all(
      Array.from({ length: 60 }, () =>
        call(parley.url, 'GET', '/sessions', undefined, { connection: 'close' }),
      ),
    );
    await outputWith(parley, () => lines(parley, '/sessions').length >= 60);
    return new Set(lines(parley, '/sessions').map(({ worker }) => worker));
  }

  const lines = (parley: ParleyProcess, path: string) =>
    parley.logLines().filter((line) => line['msg'] === 'request' && line['path'] === path);

  test('serve one port, greet once, and are one server to whoever reads the metrics', async (context) => {
    const parley = await start(context);
    assert.equal((await workers(parley)).size, 3);
    assert.equal(parley.output().match(/Parley \S+ listens on/g)?.length, 1);
    for (let time = 0; time < 6; time += 1) {
      const { body } = await call(parley.url, 'GET', '/metrics', undefined, { connection: 'close' });
      // Those of /metrics itself are counted as well, once they are over.
      assert.ok(body.requests_total >= 60 && body.requests_total <= 60 + time, JSON.stringify(body));
    }
    const { body: text } = await call(parley.url, 'GET', '/metrics', undefined, { accept: 'text/plain' });
    assert.match(text, /^parley_http_requests_total\{method="GET",route="\/sessions",status="200"\} 60$/m);
    assert.match(text, /^parley_build_info\{.*\} 1$/m);
    assert.equal(await parley.stop(), 0);
  });

  test('hold one conversation together', async (context) => {
    const parley = await start(context);
    const session = await newSession(parley.url);
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        send(parley.url, session, `m${index}`, {}, { connection: 'close' }),
      ),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const { body } = await call(parley.url, 'GET', `/sessions/${session}/messages?limit=100`);
    assert.equal(body.data.length, 24);
  });

  test('are replaced when they die, while the others serve', async (context) => {
    const parley = await start(context);
    await workers(parley);
    const [line] = lines(parley, '/sessions');
    const victim = await pidOf(parley, line?.['worker']);
    process.kill(victim, 'SIGKILL');
    await outputWith(parley, (output) => output.includes('a worker died and is replaced'));
    assert.equal((await call(parley.url, 'GET', '/health', undefined, { connection: 'close' })).status, 200);
    while (![...(await workers(parley))].some((worker) => Number(worker) > 3)) await pause(100);
    assert.equal(await parley.stop(), 0);
  });

  test('finish their turns when the server is told to stop', async (context) => {
    const double = await startProviderDouble();
    context.after(() => double.close());
    const parley = await start(context, { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none' });
    const session = await newSession(parley.url);
    const go = Promise.withResolvers<void>();
    double.respondOnce({ text: 'late', waitBefore: go.promise });
    const answer = send(parley.url, session, 'Hello');
    await double.arrived(1);
    const stopped = parley.stop('SIGTERM');
    await outputWith(parley, (output) => output.includes('finishing running turns'));
    go.resolve();
    assert.equal((await answer).status, 200);
    assert.equal(await stopped, 0);
  });

  test('that cannot start end the server with what is wrong', async () => {
    const taken = await startParley();
    const { code, output } = await runParley(await emptyDirectory(), {
      WORKERS: '2',
      DATABASE_URL: redis.url(),
      PORT: new URL(taken.url).port,
    });
    await removeParley(taken);
    assert.equal(code, 1);
    assert.match(output, /could not start: .*EADDRINUSE/);
  });
});

/** The process of a worker, by the order in which the children of the server were started. */
async function pidOf(parley: ParleyProcess, worker: unknown): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const { pid } = parley.process;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    .trim()
    .split(' ')
    .map(Number);
  const found = children.toSorted((one, other) => one - other)[Number(worker) - 1];
  assert.ok(found);
  return found;
}
