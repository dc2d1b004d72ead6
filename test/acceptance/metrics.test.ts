/** The metrics by HTTP: both forms, what they count of known traffic, and that they tell nothing else. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openStage, type Stage } from '../faults/stage.ts';
import { startProviderDouble } from '../provider-double.ts';
import { type Answer, call, newSession, send, stream } from './client.ts';
import { removeParley, startParley } from './parley-process.ts';
import { createGate, startParleyWithDouble } from './parley-with-double.ts';

const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,' +
  'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

async function open(context: TestContext): Promise<Stage> {
  const stage = await openStage();
  context.after(() => stage.close());
  return stage;
}

const inShort = async (url: string): Promise<any> => (await call(url, 'GET', '/metrics')).body;

/** The samples of the text by name and labels, with the labels in the order of the alphabet. */
async function samplesOf(url: string): Promise<Map<string, number>> {
  const { body }: Answer<string> = await call(url, 'GET', '/metrics', undefined, { accept: 'text/plain' });
  const samples = new Map<string, number>();
  for (const line of body.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(line);
    const sorted = [...labels.matchAll(/\w+="(?:[^"\\]|\\.)*"/g)].map(([label]) => label).sort();
    samples.set(`${name}{${sorted.join(',')}}`, Number(value));
  }
  return samples;
}

/** Requests count when they are over, which the client may learn before the counter: reads until it is so. */
async function settled<Told>(read: () => Promise<Told>, isSettled: (told: Told) => boolean): Promise<Told> {
  for (let tries = 0; tries < 200; tries += 1) {
    const told = await read();
    if (isSettled(told)) return told;
  }
  assert.fail('it never came to be counted');
}

test('Prometheus gets its text, and everybody else JSON', async (context) => {
  const server = await startParleyWithDouble();
  context.after(() => server.close());
  for (const accept of [PROMETHEUS, 'text/plain', 'application/openmetrics-text']) {
    // The client throws where the answer is not as documented.
    const { status, headers, body } = await server.call('GET', '/metrics', undefined, { accept });
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.match(body, /^# TYPE parley_turns_running gauge\nparley_turns_running 0$/m);
  }
  for (const accept of ['*/*', 'application/json', 'application/json, text/plain, */*', 'image/png']) {
    const { status, headers, body } = await server.call('GET', '/metrics', undefined, { accept });
    assert.equal(status, 200);
    assert.match(headers.get('content-type') ?? '', /^application\/json/);
    assert.equal(body.turns.running, 0);
  }
  const { status } = await call(server.url, 'POST', '/metrics', {});
  assert.equal(status, 405);
});

test('requests are counted by the patterns of their routes', async (context) => {
  const stage = await open(context);
  const sessionId = await newSession(stage.url);
  for (const path of [`/sessions/${sessionId}`, '/sessions/unknown-id', '/no/such/path', '/another']) {
    await call(stage.url, 'GET', path);
  }
  await call(stage.url, 'DELETE', '/health');
  const expected = {
    'method="POST",route="/sessions",status="201"': 1,
    'method="GET",route="/sessions/:session_id",status="200"': 1,
    'method="GET",route="/sessions/:session_id",status="404"': 1,
    'method="GET",route="unknown",status="404"': 2,
    'method="DELETE",route="/health",status="405"': 1,
  };
  const samples = await settled(
    () => samplesOf(stage.url),
    (samples) =>
      Object.entries(expected).every(
        ([labels, count]) => samples.get(`parley_http_requests_total{${labels}}`) === count,
      ),
  );
  assert.equal(samples.get('parley_http_errors_total{code="route_not_found"}'), 2);
  assert.equal(
    samples.get('parley_http_request_duration_seconds_count{method="GET",route="/sessions/:session_id"}'),
    2,
  );
  assert.ok([...samples.keys()].every((sample) => !sample.includes('such') && !sample.includes(sessionId)));

  const told = await inShort(stage.url);
  const sum = (counts: Record<string, number>) =>
    Object.values(counts).reduce((sum, count) => sum + count, 0);
  assert.deepEqual([told.requests_by_method.POST, told.requests_by_method.DELETE], [1, 1]);
  assert.deepEqual([told.responses_by_status[404], told.responses_by_status[405]], [3, 1]);
  assert.equal(told.requests_total, sum(told.requests_by_method));
  assert.equal(told.responses_total, sum(told.responses_by_status));
  assert.deepEqual(told.errors_by_code, { session_not_found: 1, route_not_found: 2, method_not_allowed: 1 });
  assert.equal(told.errors_total, 4);
  assert.ok(told.request_latency_avg_ms > 0 && told.uptime_seconds >= 0);
});

test('turns are counted with their attempts, failures, fallbacks, restarts and tokens', async (context) => {
  const stage = await open(context);
  const usageCounts = {
    prompt_tokens: 20,
    completion_tokens: 6,
    prompt_tokens_details: { cached_tokens: 16 },
    completion_tokens_details: { reasoning_tokens: 2 },
  };
  stage.play('good', { alpha: { text: ['a', 'b'], usageCounts } });
  const good = await newSession(stage.url, { provider: 'alpha', model: 'good' });
  assert.equal((await send(stage.url, good, 'Hello')).status, 200);
  assert.equal((await stream(stage.url, good, 'Hello')).events.at(-1)?.event, 'turn.completed');

  const bad = await stage.scene({ alpha: { status: 401 }, beta: { status: 404 } });
  assert.equal((await bad.ask(false)).status, 502);
  const rescued = await stage.scene({ alpha: { status: 401 }, beta: { text: 'Well', usageCounts } });
  assert.equal((await rescued.ask(false)).status, 200);
  const restarted = await stage.scene({
    alpha: { text: ['One ', 'two '], error: { message: 'broken' } },
    beta: { text: 'Other', usage: 'never' },
  });
  const told = await restarted.ask(true);
  assert.ok(told.events.some(({ event }) => event === 'message.restart'));

  const samples = await samplesOf(stage.url);
  const value = (sample: string) => samples.get(sample) ?? 0;
  assert.equal(value('parley_turns_total{status="completed"}'), 4);
  assert.equal(value('parley_turns_total{status="failed"}'), 1);
  assert.equal(value('parley_turn_errors_total{code="provider_error"}'), 1);
  assert.equal(value('parley_fallbacks_total{from_provider="alpha",to_provider="beta"}'), 3);
  assert.equal(value('parley_restarts_total{reason="interrupted"}'), 1);
  const target = (provider: string, model: string) =>
    `gen_ai_provider_name="${provider}",gen_ai_request_model="${model}"`;
  assert.equal(value(`parley_attempts_total{${target('alpha', 'good')},outcome="completed"}`), 2);
  // Nobody has answered for the models of the other scenes at alpha when they failed.
  assert.equal(value(`parley_attempts_total{${target('beta', 'other')},outcome="model_not_found"}`), 1);
  assert.equal(value(`parley_attempts_total{${target('beta', rescued.model)},outcome="completed"}`), 1);
  const kinds = { input: 40, output: 12, cached: 32, reasoning: 4 };
  for (const [kind, tokens] of Object.entries(kinds)) {
    const labels = [...target('alpha', 'good').split(','), `kind="${kind}"`].sort().join(',');
    assert.equal(value(`parley_tokens_total{${labels}}`), tokens, kind);
  }
  const operation = `gen_ai_operation_name="chat",${target('alpha', 'good')}`;
  assert.equal(value(`gen_ai_client_operation_duration_seconds_count{${operation}}`), 2);
  assert.equal(value(`gen_ai_server_time_to_first_token_seconds_count{${operation}}`), 2);
  assert.equal(value('parley_turn_duration_seconds_count{status="completed"}'), 4);
  assert.equal(value('parley_turn_time_to_first_token_seconds_count{}'), 4);
  assert.equal(value('parley_store_call_duration_seconds_count{method="beginTurn",outcome="ok"}'), 5);
  assert.equal(value('parley_store_call_duration_seconds_count{method="commitTurn",outcome="ok"}'), 5);

  const short = await inShort(stage.url);
  assert.deepEqual(short.turns, {
    total: 5,
    running: 0,
    by_status: { completed: 4, incomplete: 0, failed: 1, cancelled: 0 },
  });
  assert.deepEqual(short.tokens, { input: 60, output: 18, cached: 48, reasoning: 6 });
  assert.equal(short.fallbacks_total, 3);
});

test('a target that is left out is shown so, and that it came to be', async (context) => {
  const double = await startProviderDouble();
  const parley = await startParley({ OPENAI_BASE_URL: double.url, OPENAI_MODEL: 'm' });
  context.after(async () => {
    await removeParley(parley);
    await double.close();
  });
  const target = 'gen_ai_provider_name="openai",gen_ai_request_model="m"';
  assert.equal((await samplesOf(parley.url)).get(`parley_targets{${target},state="closed"}`), 1);
  double.respondOnce({ status: 401 });
  assert.equal((await send(parley.url, await newSession(parley.url), 'Hello')).status, 502);
  const samples = await samplesOf(parley.url);
  assert.equal(samples.get(`parley_targets{${target},state="open"}`), 1);
  assert.equal(samples.get(`parley_targets{${target},state="closed"}`), 0);
  assert.equal(samples.get(`parley_target_state_changes_total{${target},state="open"}`), 1);
});

test('turns that run are shown while they do', async (context) => {
  const server = await startParleyWithDouble();
  context.after(() => server.close());
  const gate = createGate();
  server.double.respondOnce({ text: 'Late', waitBefore: gate.opened });
  const sessionId = await server.newSession();
  const answer = server.send(sessionId, 'Hello');
  await server.double.arrived(1);
  assert.equal((await inShort(server.url)).turns.running, 1);
  assert.equal((await samplesOf(server.url)).get('parley_turns_running{}'), 1);
  gate.open();
  assert.equal((await answer).status, 200);
  assert.equal((await inShort(server.url)).turns.running, 0);
});

test('a client that leaves before its answer is a request without a response', async (context) => {
  const server = await startParleyWithDouble();
  context.after(() => server.close());
  const gate = createGate();
  server.double.respondOnce({ text: 'Late', waitBefore: gate.opened });
  const sessionId = await server.newSession();
  const controller = new AbortController();
  const left = fetch(`${server.url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Hello' }),
    signal: controller.signal,
  });
  await server.double.arrived(1);
  controller.abort();
  await assert.rejects(left, { name: 'AbortError' });
  const labels = 'method="POST",route="/sessions/:session_id/messages",status="none"';
  await settled(
    () => samplesOf(server.url),
    (samples) => samples.get(`parley_http_requests_total{${labels}}`) === 1,
  );
  const told = await inShort(server.url);
  assert.equal(told.requests_total, told.responses_total + 1);
  assert.equal('none' in told.responses_by_status, false);
  gate.open();
});

test('what the limits decide is counted, and reading the metrics is not limited', async (context) => {
  const parley = await startParley({ RATE_RPS: '0.001', RATE_BURST: '2', DATABASE_URL: 'memory:' });
  context.after(() => removeParley(parley));
  const statuses: number[] = [];
  for (let sent = 0; sent < 5; sent += 1) statuses.push((await call(parley.url, 'GET', '/sessions')).status);
  assert.deepEqual(statuses, [200, 200, 429, 429, 429]);
  assert.deepEqual((await inShort(parley.url)).rate_limit, { allowed: 2, denied: 3 });
  const samples = await samplesOf(parley.url);
  assert.equal(samples.get('parley_rate_limit_decisions_total{decision="allowed"}'), 2);
  assert.equal(samples.get('parley_rate_limit_decisions_total{decision="denied",limit="address"}'), 3);
});

test('nothing of conversations, keys, ids or callers is in them', async (context) => {
  const double = await startProviderDouble();
  const parley = await startParley({
    OPENAI_BASE_URL: double.url,
    OPENAI_API_KEY: 'KEY-of-openai',
    API_KEYS: 'ada:KEY-of-ada',
    ADMIN_TOKEN: 'KEY-of-admin',
  });
  context.after(async () => {
    await removeParley(parley);
    await double.close();
  });
  const { url } = parley;
  const headers = { 'x-api-key': 'KEY-of-ada', 'user-agent': 'agent-of-ada' };
  const metadata = { note: 'private-note' };
  const { body: session } = await call(
    url,
    'POST',
    '/sessions',
    { title: 'private-title', metadata },
    headers,
  );
  const message = { content: 'My password is swordfish' };
  const told = await send(url, session.id, message.content, { metadata }, headers);
  assert.equal(told.status, 200);
  double.respondOnce({ status: 400, error: { message: 'swordfish is refused' } });
  assert.equal((await send(url, session.id, 'swordfish', { model: 'KEY-as-a-model' }, headers)).status, 400);
  await call(url, 'GET', '/sessions?metadata[note]=private-note', undefined, headers);
  await call(url, 'GET', '/private-path', undefined, { 'x-api-key': 'KEY-of-nobody' });
  await call(url, 'GET', '/admin/bypass', undefined, { 'x-admin-token': 'KEY-of-nobody' });

  // Open without a key, as collectors have none.
  for (const accept of ['text/plain', 'application/json']) {
    const { status, body } = await call(url, 'GET', '/metrics', undefined, { accept });
    assert.equal(status, 200);
    const text = JSON.stringify(body);
    const secrets = [
      'swordfish',
      'KEY',
      'private',
      'agent-of-ada',
      'ada',
      '127.0.0.1',
      session.id,
      told.body.turn_id,
    ];
    for (const secret of secrets) assert.equal(text.includes(secret), false, `${secret} is in ${text}`);
  }
});

test('switched off, there is no route, and the server works as before', async (context) => {
  const parley = await startParley({ METRICS_ENABLED: 'false' });
  context.after(() => removeParley(parley));
  const { status, body } = await call(parley.url, 'GET', '/metrics');
  assert.deepEqual([status, body.error.code], [404, 'route_not_found']);
  const { body: document } = await call(parley.url, 'GET', '/openapi.json');
  assert.equal('/metrics' in document.paths, false);
  assert.equal((await send(parley.url, await newSession(parley.url), 'Hello')).status, 200);
  assert.equal(await parley.stop(), 0);
});
