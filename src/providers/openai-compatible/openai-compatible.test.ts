import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../../../test/provider-double.ts';
import { collect, isFailure, promptOf, providerContract, upstreamContract } from '../provider.contract.ts';
import { type Provider, ProviderError } from '../provider.ts';
import { createOpenAICompatible, type OpenAICompatibleSettings } from './openai-compatible.ts';

function create(baseUrl: string, rest: Partial<OpenAICompatibleSettings> = {}): Provider {
  return createOpenAICompatible({
    name: 'local',
    baseUrl,
    apiKey: null,
    defaultModel: null,
    models: ['model-1'],
    modelsHaveSlashes: false,
    headers: {},
    contextTokens: 8192,
    continuation: 'none',
    connections: 8,
    ...rest,
  });
}

async function open(
  rest: Partial<OpenAICompatibleSettings> = {},
): Promise<{ double: ProviderDouble; provider: Provider }> {
  const double = await startProviderDouble();
  return { double, provider: create(double.url, rest) };
}

async function opened(t: TestContext, rest: Partial<OpenAICompatibleSettings> = {}) {
  const { double, provider } = await open(rest);
  t.after(async () => {
    await provider.close();
    await double.close();
  });
  return { double, provider };
}

providerContract('openai-compatible', () => open());
providerContract('openai-compatible with prefill', () => open({ continuation: 'prefill' }));
providerContract('openai-compatible with instruct', () => open({ continuation: 'instruct' }));
upstreamContract('openai-compatible', () => open());

test('the base URL may have a path, a slash at its end, and a query', async (t) => {
  const { double } = await opened(t);
  for (const [suffix, path] of [
    ['', '/v1/chat/completions'],
    ['/', '/v1/chat/completions'],
    ['/deep/er//', '/v1/deep/er/chat/completions'],
    ['?api-version=2', '/v1/chat/completions?api-version=2'],
  ]) {
    const provider = create(double.url + suffix);
    await collect(provider, promptOf('Hello'));
    assert.equal(double.last.path, path);
    await provider.close();
  }
});

test('the default model is shown first, and once', async (t) => {
  const { provider } = await opened(t, { defaultModel: 'b', models: ['a', 'b'] });
  assert.deepEqual(provider.models, ['b', 'a']);
  assert.equal(provider.contextTokens, 8192);
});

test('it sends the prompt as JSON, with the key and the headers of the settings', async (t) => {
  const { double, provider } = await opened(t, {
    apiKey: 'key',
    headers: { 'X-Team': 'blue', 'User-Agent': 'ours' },
  });
  await collect(provider, { ...promptOf('Hello'), options: { temperature: 0 } });
  const { headers, body } = double.last;
  assert.equal(headers['authorization'], 'Bearer key');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['accept'], 'text/event-stream');
  assert.equal(headers['x-team'], 'blue');
  assert.equal(headers['user-agent'], 'ours');
  assert.deepEqual(body, {
    temperature: 0,
    model: 'model-1',
    messages: [{ role: 'user', content: 'Hello' }],
    stream: true,
    stream_options: { include_usage: true },
  });
  await collect(provider, { ...promptOf('Hello'), stream: false });
  assert.equal(double.last.body.stream, false);
  assert.equal(double.last.headers['accept'], 'application/json');
});

test('without a key none is sent', async (t) => {
  const { double, provider } = await opened(t);
  await collect(provider, promptOf('Hello'));
  assert.equal('authorization' in double.last.headers, false);
});

test('an answer is read by its content type, whatever was asked for', async (t) => {
  const { double, provider } = await opened(t);
  const choice = {
    index: 0,
    message: { content: 'whole' },
    delta: { content: 'piece' },
    finish_reason: 'stop',
  };
  const json = JSON.stringify({ choices: [choice] });
  const first = async (stream: boolean) => (await collect(provider, { ...promptOf('Hello'), stream }))[0];
  double.respond({
    json: { choices: [choice] },
    headers: { 'content-type': 'application/json; charset=utf-8' },
  });
  assert.deepEqual(await first(true), { type: 'text-delta', text: 'whole' });
  double.respond({ raw: [`data: ${json}\n\n`], contentType: 'text/event-stream; charset=utf-8' });
  assert.deepEqual(await first(false), { type: 'text-delta', text: 'piece' });
  double.respond({ raw: [`data: ${json}\n\n`], contentType: 'application/octet-stream' });
  assert.deepEqual(await first(true), { type: 'text-delta', text: 'piece' });
  double.respond({ raw: [json], contentType: 'text/plain' });
  assert.deepEqual(await first(false), { type: 'text-delta', text: 'whole' });
});

test('a page instead of an answer is no answer', async (t) => {
  const { double, provider } = await opened(t);
  double.respond({ html: '<html>Sign in</html>' });
  for (const stream of [true, false]) {
    await assert.rejects(
      collect(provider, { ...promptOf('Hello'), stream }),
      isFailure('invalid_answer', 200),
    );
  }
  double.respond({ status: 502, html: `<html>${'x'.repeat(1024 * 1024)}</html>` });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('server_error', 502));
});

test('an error whose body never ends or breaks off is known by its status', async (t) => {
  const { double, provider } = await opened(t);
  double.respond({ status: 500, html: 'x'.repeat(128 * 1024), hang: true });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('server_error', 500));
  double.respond({
    status: 429,
    headers: { 'retry-after': '2' },
    raw: ['{"error":'],
    cut: { afterBytes: 5 },
  });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('rate_limited', 429));
});

test('a failure tells how long to wait, and the message without the key', async (t) => {
  const { double, provider } = await opened(t, { apiKey: 'my-key', headers: { 'api-key': 'other-secret' } });
  const error = {
    message: 'The key my-key, other-secret or sk-abc is over its limit',
    code: 'rate_limit_exceeded',
  };
  double.respond({ status: 429, headers: { 'retry-after': '2' }, error });
  await assert.rejects(collect(provider, promptOf('Hello')), (thrown) => {
    assert.ok(thrown instanceof ProviderError);
    assert.equal(thrown.retryAfterMilliseconds, 2000);
    assert.equal(thrown.providerMessage, 'The key ***, *** or sk-*** is over its limit');
    return true;
  });
});

test('a redirect is not followed', async (t) => {
  const { double, provider } = await opened(t);
  double.respondOnce({ status: 307, headers: { location: `${double.url}/chat/completions` } });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('invalid_answer', 307));
  assert.equal(double.requests.length, 1);
});

test('a server that is not there is unreachable', async () => {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  server.close();
  await once(server, 'close');
  const provider = create(`http://127.0.0.1:${address.port}/v1`);
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('unreachable'));
  await provider.close();
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('unreachable'));
});

/** Where connections are taken, and encryption is never agreed on. */
async function mute(t: TestContext): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

test('a connection that is not made in time is a timeout of the connect clock', async (t) => {
  const provider = create(await mute(t), { connectMilliseconds: 20 });
  for (const stream of [true, false]) {
    await assert.rejects(collect(provider, { ...promptOf('Hello'), stream }), (error) => {
      assert.ok(error instanceof ProviderError, String(error));
      assert.deepEqual([error.kind, error.clock, error.status], ['timeout', 'connect', undefined]);
      return true;
    });
  }
  await provider.close();
});

test('a signal that aborts while a connection is being made is thrown at once', async (t) => {
  const provider = create(await mute(t), { connectMilliseconds: 600_000 });
  const controller = new AbortController();
  const reason = new Error('stopped');
  const pending = collect(provider, promptOf('Hello'), controller.signal);
  controller.abort(reason);
  await assert.rejects(pending, (error) => error === reason);
  await provider.close();
});

test('a signal that aborts while others have all connections is thrown at once, and nobody is asked', async (t) => {
  const { double, provider } = await opened(t, { connections: 1 });
  const gate = Promise.withResolvers<void>();
  double.respondOnce({ waitBefore: gate.promise });
  const first = collect(provider, promptOf('first'));
  await double.arrived(1);
  const controller = new AbortController();
  const reason = new Error('stopped');
  const second = collect(provider, promptOf('second'), controller.signal);
  controller.abort(reason);
  await assert.rejects(second, (error) => error === reason);
  gate.resolve();
  await first;
  await collect(provider, promptOf('third'));
  assert.deepEqual(
    double.requests.map(({ body }) => body.messages[0]?.content),
    ['first', 'third'],
  );
});

test('the connection of a whole answer is used again', async (t) => {
  const { double, provider } = await opened(t, { connections: 1 });
  for (const stream of [true, false, true, true]) await collect(provider, { ...promptOf('Hello'), stream });
  assert.equal(double.requests.length, 4);
  assert.equal(double.connections, 1);
});

for (const pieces of [1, 1000]) {
  test(`the connection is used again though the body ends after [DONE] (${pieces} pieces)`, async (t) => {
    const { double, provider } = await opened(t, { connections: 1 });
    const { promise: collected, resolve } = Promise.withResolvers<void>();
    const answer = 'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'.repeat(pieces);
    const raw = [`${answer}data: [DONE]\n\n`, ': the end\n\n'];
    double.respondOnce({ raw, waitAt: { piece: 1, wait: collected } });
    assert.equal((await collect(provider, promptOf('Hello'))).length, pieces + 1);
    resolve();
    await collect(provider, promptOf('Hello'));
    assert.equal(double.connections, 1);
  });
}

test('an answer is whole at [DONE], though its body stays open', async (t) => {
  const { double, provider } = await opened(t, { connections: 1 });
  double.respondOnce({ hang: true });
  const events = await collect(provider, promptOf('Hello'));
  assert.equal(events.at(-1)?.type, 'finish');
  // The only connection is given up after a while, or the second answer would never come.
  assert.equal((await collect(provider, promptOf('Hello'))).at(-1)?.type, 'finish');
  assert.equal(double.connections, 2);
});

test('there are no more connections than the settings allow', async (t) => {
  const { double, provider } = await opened(t, { connections: 2 });
  await Promise.all(Array.from({ length: 6 }, () => collect(provider, promptOf('Hello'))));
  assert.equal(double.requests.length, 6);
  assert.ok(double.connections <= 2);
});

test('text in pieces of single bytes arrives whole', async (t) => {
  const { double, provider } = await opened(t);
  const stream = `data: ${JSON.stringify({ choices: [{ delta: { content: 'Grüße 👋' }, finish_reason: 'stop' }] })}\r\n\r\n`;
  double.respond({ raw: Array.from(Buffer.from(stream), (byte) => Uint8Array.of(byte)) });
  const [first] = await collect(provider, promptOf('Hello'));
  assert.deepEqual(first, { type: 'text-delta', text: 'Grüße 👋' });
});
