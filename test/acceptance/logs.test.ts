/** The log: one JSON line per request and per turn, as much as LOG_LEVEL asks for, and nothing of what was said. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, beforeEach, type TestContext, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send, stream } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';

let double: ProviderDouble;
let parley: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  parley = await start();
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

beforeEach(() => double.reset());

function start(env: Record<string, string> = {}): Promise<ParleyProcess> {
  return startParley({ OPENAI_BASE_URL: double.url, OPENAI_MODEL: 'm-1', DATABASE_URL: 'memory:', ...env });
}

/** The lines with these fields, as soon as there is one. */
async function lines(fields: Record<string, unknown>): Promise<Record<string, unknown>[]> {
  const matching = () =>
    parley.logLines().filter((line) => Object.entries(fields).every(([name, value]) => line[name] === value));
  await outputWith(parley, () => matching().length > 0);
  return matching();
}

/** The only line with these fields. Another request goes between, so that a second one would be there. */
async function onlyLine(fields: Record<string, unknown>): Promise<Record<string, unknown>> {
  await lines(fields);
  const { headers } = await call(parley.url, 'GET', '/health');
  await lines({ msg: 'request', request_id: headers.get('x-request-id') });
  const [line, ...others] = await lines(fields);
  assert.deepEqual(others, []);
  assert.ok(line);
  return line;
}

for (const streaming of [false, true]) {
  test(`a message is one line for its request and one for its turn, ${streaming ? 'streamed' : 'whole'}`, async () => {
    const sessionId = await newSession(parley.url);
    const { headers } = streaming
      ? await stream(parley.url, sessionId, 'Hello')
      : await send(parley.url, sessionId, 'Hello');
    const requested = await onlyLine({ msg: 'request', request_id: headers.get('x-request-id') });
    const { method, path, status, ms, level } = requested;
    assert.deepEqual(
      { method, path, status, level },
      { method: 'POST', path: `/sessions/${sessionId}/messages`, status: 200, level: 30 },
    );
    assert.equal(typeof ms, 'number');
    assert.match(String(requested['time']), /^\d{4}-\d\d-\d\dT.*Z$/);

    const [turn] = (await call(parley.url, 'GET', `/sessions/${sessionId}/turns`)).body.data;
    const ran = await onlyLine({ msg: 'turn', turn_id: turn.id });
    const { time: _time, ms: turnMs, ...facts } = ran;
    assert.equal(typeof turnMs, 'number');
    assert.deepEqual(facts, {
      level: 30,
      msg: 'turn',
      request_id: requested['request_id'],
      turn_id: turn.id,
      session_id: sessionId,
      status: 'completed',
      provider: 'openai',
      model: 'm-1',
      attempts: 1,
      input_tokens: 11,
      output_tokens: 7,
    });
  });
}

test('an error names its code in both lines, and the attempts in that of the turn', async () => {
  double.respond({ status: 503 });
  const sessionId = await newSession(parley.url);
  const { headers, body } = await send(parley.url, sessionId, 'Hello');
  const requested = await onlyLine({ msg: 'request', request_id: headers.get('x-request-id') });
  assert.deepEqual([requested['status'], requested['code']], [502, 'provider_error']);
  const ran = await onlyLine({ msg: 'turn', turn_id: body.error.details.turn_id });
  assert.deepEqual([ran['level'], ran['status'], ran['code']], [40, 'failed', 'provider_error']);
  const failure = { kind: 'server_error', http_status: 503 };
  assert.deepEqual(ran['failures'], [failure, failure]);
});

test('a request whose client left has its line too', async () => {
  const held = Promise.withResolvers<void>();
  double.respond({ text: 'late', waitBefore: held.promise });
  const sessionId = await newSession(parley.url);
  const path = `/sessions/${sessionId}/messages`;
  const headers = { 'content-type': 'application/json' };
  const sent = request(parley.url + path, { method: 'POST', headers, agent: false });
  sent.on('error', () => undefined).end('{"content": "Hello"}');
  await double.arrived(1);
  sent.destroy();
  assert.equal((await onlyLine({ msg: 'request', path }))['client_left'], true);
  held.resolve();
  await lines({ msg: 'turn', session_id: sessionId });
});

test('what is said is in no line, whatever becomes of it', async () => {
  const secret = 'what-was-said';
  const error = { message: `cannot answer "${secret}"` };
  // What may be over in a moment is asked for twice.
  double.respondOnce(
    { text: `${secret} by the model`, reasoning: secret },
    { status: 400, error },
    { status: 500, error },
    { status: 500, error },
    { html: secret },
    { html: secret },
    { text: [secret], error: { message: secret, code: 500 } },
  );
  const settings = { instructions: secret, title: secret, metadata: { [secret]: secret } };
  const sessionId = await newSession(parley.url, settings);
  const message = { metadata: { note: secret }, options: { user: secret } };
  for (let count = 0; count < 5; count += 1) await stream(parley.url, sessionId, secret, message);
  await call(parley.url, 'GET', `/sessions?metadata[${secret}]=${secret}`);
  await call(parley.url, 'POST', '/sessions', { [secret]: secret });
  await send(parley.url, sessionId, 'x', { options: secret });
  await fetch(`${parley.url}/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"title": "${secret}`,
  });
  const last = await call(parley.url, 'GET', '/health', undefined, {
    authorization: secret,
    'x-note': secret,
  });
  await lines({ request_id: last.headers.get('x-request-id') });
  assert.equal((await lines({ msg: 'turn', session_id: sessionId })).length, 5);
  assert.equal(parley.output().includes(secret), false, parley.output());
});

async function outputAt(context: TestContext, level: string): Promise<ParleyProcess> {
  const quiet = await start({ LOG_LEVEL: level });
  context.after(() => removeParley(quiet));
  const sessionId = await newSession(quiet.url);
  await send(quiet.url, sessionId, 'Hello');
  double.respondOnce({ status: 404 });
  await send(quiet.url, sessionId, 'Hello');
  await quiet.stop();
  return quiet;
}

test('LOG_LEVEL warn leaves what went wrong', async (context) => {
  const parley = await outputAt(context, 'warn');
  assert.deepEqual(
    parley.logLines().map(({ level, msg, status }) => ({ level, msg, status })),
    [{ level: 40, msg: 'turn', status: 'failed' }],
  );
});

test('LOG_LEVEL silent leaves the greeting alone', async (context) => {
  const parley = await outputAt(context, 'silent');
  assert.deepEqual(parley.logLines(), []);
  assert.match(parley.output(), /listens on/);
});

test('a change of how it stands with a target is a line', async () => {
  const sessionId = await newSession(parley.url, { model: 'm-locked' });
  // A key that does not work takes the target out of service at once.
  double.respondOnce({ status: 401 });
  assert.equal((await send(parley.url, sessionId, 'Hello')).status, 502);
  const opened = await onlyLine({ msg: 'target state', model: 'm-locked' });
  assert.deepEqual([opened['level'], opened['provider'], opened['state']], [40, 'openai', 'open']);
  assert.ok(Date.parse(String(opened['until'])) > Date.parse(String(opened['time'])));
  // The only target there is is asked all the same, and is back.
  assert.equal((await send(parley.url, sessionId, 'Hello again')).status, 200);
  await lines({ msg: 'target state', model: 'm-locked', state: 'closed' });
  const all = await lines({ msg: 'target state', model: 'm-locked' });
  assert.deepEqual(
    all.map(({ state }) => state),
    ['open', 'half_open', 'closed'],
  );
});
