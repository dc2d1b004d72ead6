/** SIGTERM and SIGINT: running turns are finished, new ones refused, and the process ends with 0. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { after, before, beforeEach, type TestContext, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, type StreamEvent, send, stream } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';

let double: ProviderDouble;

before(async () => {
  double = await startProviderDouble();
});

after(() => double.close());

beforeEach(() => double.reset());

async function start(context: TestContext, env: Record<string, string> = {}): Promise<ParleyProcess> {
  const parley = await startParley({ OPENAI_BASE_URL: double.url, ...env });
  context.after(() => removeParley(parley));
  return parley;
}

/** Holds the provider's next answer. */
function hold(text: readonly string[] = ['The ', 'answer'], piece = 0): () => void {
  const held = Promise.withResolvers<void>();
  double.respondOnce(
    piece === 0 ? { text, waitBefore: held.promise } : { text, waitAt: { piece, wait: held.promise } },
  );
  return held.resolve;
}

const closing = (parley: ParleyProcess) =>
  outputWith(parley, (output) => output.includes('finishing running turns'));

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`after ${signal} running turns are answered and stored, new requests refused, and the exit is 0`, async (context) => {
    const parley = await start(context);
    const sessionId = await newSession(parley.url);
    const other = await newSession(parley.url);
    const release = hold();
    const running = send(parley.url, sessionId, 'Hello');
    await double.arrived(1);
    const queued = send(parley.url, sessionId, 'Waiting behind it');
    const exit = parley.stop(signal);
    await closing(parley);

    const refused = await send(parley.url, other, 'Too late');
    assert.equal(refused.status, 503);
    assert.equal(refused.body.error.code, 'server_shutting_down');
    assert.equal((await call(parley.url, 'GET', '/sessions')).status, 503);

    release();
    const answer = await running;
    assert.equal(answer.status, 200);
    assert.equal(answer.body.message.content, 'The answer');
    assert.equal((await queued).body.error.code, 'server_shutting_down');
    assert.equal(await exit, 0);

    const again = await parley.restart();
    context.after(() => removeParley(again));
    const { body } = await call(again.url, 'GET', `/sessions/${sessionId}/messages`);
    assert.deepEqual(body.data, answer.body.history);
    assert.deepEqual((await call(again.url, 'GET', `/sessions/${other}/turns`)).body.data, []);
  });
}

test('a stream that runs is finished', async (context) => {
  const parley = await start(context);
  const release = hold(['The ', 'answer'], 2);
  const streamed = stream(parley.url, await newSession(parley.url), 'Hello');
  await double.arrived(1);
  const exit = parley.stop();
  await closing(parley);
  release();
  const { events } = await streamed;
  assert.equal(events.at(-1)?.event, 'turn.completed');
  assert.equal(events.at(-1)?.data.message.content, 'The answer');
  assert.equal(await exit, 0);
});

test('turns that are not over within the grace time fail, and their clients are told', async (context) => {
  const parley = await start(context, { SHUTDOWN_GRACE_SECONDS: '0.05' });
  const [whole, streamedId] = await Promise.all([newSession(parley.url), newSession(parley.url)]);
  hold();
  const answered = send(parley.url, whole, 'Hello');
  await double.arrived(1);
  hold(['The ', 'answer'], 2);
  const open = await fetch(`${parley.url}/sessions/${streamedId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Hello', stream: true }),
  });
  assert.equal(await parley.stop(), 0);

  const { status, body } = await answered;
  assert.equal(status, 503);
  assert.equal(body.error.code, 'server_shutting_down');
  const events = readEvents(await open.text());
  assert.equal(events.at(-1)?.event, 'turn.failed');
  assert.equal(events.at(-1)?.data.error.code, 'server_shutting_down');
  assert.ok(double.requests.every(({ aborted }) => aborted));

  const again = await parley.restart();
  context.after(() => removeParley(again));
  assert.doesNotMatch(again.output(), /a crash had left/);
  for (const [sessionId, output] of [
    [whole, []],
    [streamedId, ['The ']],
  ] as const) {
    const turns = await call(again.url, 'GET', `/sessions/${sessionId}/turns`);
    const [turn] = turns.body.data;
    assert.deepEqual([turn.status, turn.error.code], ['failed', 'server_shutting_down']);
    assert.deepEqual(
      turn.output.map(({ content }: any) => content[0].text),
      output,
    );
    assert.equal((await send(again.url, sessionId, 'Again')).status, 200);
  }
  // What the client was told is what can be read again, under the same numbers.
  const turnId = events[0]?.data.turn_id;
  const path = `/sessions/${streamedId}/turns/${turnId}/events?after=0`;
  const replayed = readEvents(await (await fetch(again.url + path)).text());
  assert.deepEqual(replayed.map(told), events.slice(1).map(told));
});

const told = ({ id, event, data }: StreamEvent) => [id, event, data.text ?? data.error?.code];

test('it closes in phases, each of them timed in the log', async (context) => {
  const parley = await start(context);
  await newSession(parley.url);
  assert.equal(await parley.stop(), 0);
  const phases = parley.logLines().filter(({ msg }) => msg === 'closed');
  assert.deepEqual(
    phases.map(({ phase, of, name }) => [phase, of, name]),
    [
      [1, 11, 'new requests'],
      [2, 11, 'running turns'],
      [3, 11, 'connections'],
      [4, 11, 'clients'],
      [5, 11, 'leases'],
      [6, 11, 'usage'],
      [7, 11, 'sweeper'],
      [8, 11, 'known tools'],
      [9, 11, 'metrics'],
      [10, 11, 'providers'],
      [11, 11, 'store'],
    ],
  );
  assert.ok(phases.every(({ ms }) => Number.isInteger(ms)));
});

test('a second signal ends it at once', async (context) => {
  const parley = await start(context);
  hold();
  const lost = assert.rejects(send(parley.url, await newSession(parley.url), 'Hello'));
  await double.arrived(1);
  const exit = parley.stop();
  await closing(parley);
  parley.process.kill('SIGTERM');
  assert.equal(await exit, 143);
  await lost;
});

test('without turns it ends at once, whatever connections are open', async (context) => {
  const parley = await start(context, { SHUTDOWN_GRACE_SECONDS: '3600' });
  const agent = new Agent({ keepAlive: true });
  const [response] = await once(request(`${parley.url}/health`, { agent }).end(), 'response');
  response.resume();
  await once(response, 'end');
  const { hostname, port } = new URL(parley.url);
  const silent = connect(Number(port), hostname).on('error', () => undefined);
  await once(silent, 'connect');
  const halfSent = connect(Number(port), hostname).on('error', () => undefined);
  halfSent.write(
    'POST /sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  // Answered on a later connection: what was sent before it has been read.
  await call(parley.url, 'GET', '/health');
  assert.equal(await parley.stop(), 0);
  for (const socket of [silent, halfSent]) socket.destroy();
  agent.destroy();
});

test('a reader that does not read cannot keep it', async (context) => {
  const parley = await start(context);
  double.respondOnce({ text: Array<string>(1024).fill('x'.repeat(16 * 1024)) });
  const body = JSON.stringify({ content: 'Hello', stream: true });
  const path = `/sessions/${await newSession(parley.url)}/messages`;
  const headers = { 'content-type': 'application/json' };
  const reader = request(parley.url + path, { method: 'POST', headers, agent: false }).end(body);
  reader.on('error', () => undefined);
  const [response] = await once(reader, 'response');
  response.on('error', () => undefined).pause();
  await outputWith(parley, (output) => output.includes('"msg":"turn"'));
  assert.equal(await parley.stop(), 0);
  reader.destroy();
});
