/** Responses over a WebSocket: a real one, to a server whose route of responses is the test's. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { WebSocket } from 'ws';
import type { App } from '../rooms.ts';
import { addResponseSocket, asksForSocket, type ResponseSocketOptions } from './response-socket.ts';

type Answer = (request: FastifyRequest, reply: FastifyReply) => unknown;

const frame = (data: object) => `event: x\ndata: ${JSON.stringify(data)}\n\n`;

/** Says that a response has begun and what it was asked, and ends it. */
const echo: Answer = ({ body }, reply) => {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': 'text/event-stream' });
  raw.write(`: alive\n\n${frame({ type: 'response.created', asked: body })}`);
  const response = { id: 'resp_1', output: [{ type: 'message', id: 'msg_1' }] };
  raw.end(`${frame({ type: 'response.completed', response })}data: [DONE]\n\n`);
};

async function start(context: TestContext, answer: Answer = echo, some: Partial<ResponseSocketOptions> = {}) {
  const app = Fastify({
    http: { shouldUpgradeCallback: asksForSocket },
    forceCloseConnections: true,
  }) as unknown as App;
  app.get('/v1/responses', (request, reply) =>
    request.headers.authorization === 'Bearer x' ? reply.code(401).send({ error: { code: 'no' } }) : 'a list',
  );
  app.post('/v1/responses', answer as never);
  addResponseSocket(app, { origins: [], maxBytes: 1000, ...some });
  await app.listen({ port: 0, host: '127.0.0.1' });
  context.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return { app, url: `127.0.0.1:${port}/v1/responses` };
}

/** A client's side: frames one after another. */
async function connect(context: TestContext, url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://${url}`, { headers: { authorization: 'Bearer k', ...headers } });
  context.after(() => socket.terminate());
  const frames: any[] = [];
  let wake = () => undefined as void;
  socket.on('message', (data) => {
    frames.push(JSON.parse((data as Buffer).toString('utf8')));
    wake();
  });
  await once(socket, 'open');
  return {
    socket,
    send: (message: object) => socket.send(JSON.stringify(message)),
    async next(): Promise<any> {
      while (frames.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return frames.shift();
    },
  };
}

test('each response.create is a request to the route, and its events are frames', async (context) => {
  const { url } = await start(context);
  const client = await connect(context, url, { 'x-request-id': 'mine' });
  for (const input of ['one', 'two']) {
    client.send({ type: 'response.create', model: 'm', input });
    const created = await client.next();
    assert.deepEqual(created, { type: 'response.created', asked: { model: 'm', input, stream: true } });
    assert.equal((await client.next()).type, 'response.completed');
  }
});

test('what was not stored is remembered by its connection, and by no other', async (context) => {
  const { url } = await start(context);
  const client = await connect(context, url);
  client.send({ type: 'response.create', input: 'one', store: false });
  await client.next();
  await client.next();
  const next = {
    type: 'response.create',
    input: [{ role: 'user', content: 'two' }],
    previous_response_id: 'resp_1',
  };
  client.send({ ...next, store: false });
  const { asked } = await client.next();
  assert.deepEqual(asked, {
    input: [
      { type: 'message', role: 'user', content: 'one' },
      { type: 'message', id: 'msg_1' },
      { role: 'user', content: 'two' },
    ],
    store: false,
    stream: true,
  });
  const other = await connect(context, url);
  other.send(next);
  assert.equal((await other.next()).asked.previous_response_id, 'resp_1');
});

test('refusals and what cannot be read are error frames, and the connection goes on', async (context) => {
  const { url } = await start(context, (request, reply) => {
    const { input } = request.body as { input: string };
    if (input === 'no') return reply.code(400).send({ error: { code: 'wrong', message: 'no' } });
    return echo(request, reply);
  });
  const client = await connect(context, url);
  client.send({ type: 'response.create', input: 'no' });
  assert.deepEqual(await client.next(), {
    type: 'error',
    status: 400,
    error: { code: 'wrong', message: 'no' },
  });
  for (const [message, code] of [
    ['{', 'invalid_json'],
    ['[]', 'invalid_json'],
    ['{"type":"response.steer"}', 'unsupported_parameter'],
    ['{"type":"response.create","stream":false}', 'unsupported_parameter'],
    ['{"type":"response.create","background":true}', 'unsupported_parameter'],
  ] as const) {
    client.socket.send(message);
    const { type, status, error } = await client.next();
    assert.deepEqual([type, status, error.code], ['error', 400, code]);
  }
  client.send({ type: 'response.create', input: 'yes' });
  assert.equal((await client.next()).type, 'response.created');
});

test('there is one response at a time', async (context) => {
  const held = Promise.withResolvers<void>();
  const { url } = await start(context, async (request, reply) => {
    await held.promise;
    return echo(request, reply);
  });
  const client = await connect(context, url);
  client.send({ type: 'response.create', input: 'one' });
  client.send({ type: 'response.create', input: 'two' });
  assert.equal((await client.next()).error.code, 'response_in_progress');
  held.resolve();
  assert.equal((await client.next()).asked.input, 'one');
});

test('a client that leaves has left its request as well', async (context) => {
  const gone = Promise.withResolvers<void>();
  const { url } = await start(context, (_request, reply) => {
    reply.hijack();
    reply.raw.once('close', () => gone.resolve());
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.raw.write(frame({ type: 'response.created' }));
  });
  const client = await connect(context, url);
  client.send({ type: 'response.create' });
  await client.next();
  client.socket.terminate();
  await gone.promise;
});

test('who may not come in is told before there is a connection', async (context) => {
  const { url } = await start(context, echo, { origins: ['https://mine.example'] });
  const refusal = async (headers: Record<string, string>) => {
    const socket = new WebSocket(`ws://${url}`, { headers: { authorization: 'Bearer k', ...headers } });
    const [, response] = await once(socket, 'unexpected-response');
    socket.on('error', () => undefined);
    socket.terminate();
    return response.statusCode;
  };
  assert.equal(await refusal({ authorization: 'Bearer x' }), 401);
  assert.equal(await refusal({ origin: 'https://other.example' }), 403);
  await connect(context, url, { origin: 'https://mine.example' });
});

test('other requests, and other protocols, are answered as without it', async (context) => {
  const { url } = await start(context);
  for (const headers of [{}, { connection: 'Upgrade', upgrade: 'h2c' }]) {
    const [response] = (await once(get(`http://${url}`, { headers }), 'response')) as [IncomingMessage];
    assert.deepEqual([response.statusCode, await text(response)], [200, 'a list']);
  }
});

test('a connection ends when the server does, when it is too old, and when nobody is there', async (context) => {
  const { app, url } = await start(context);
  const client = await connect(context, url);
  const closed = once(client.socket, 'close');
  await app.close();
  assert.equal((await closed)[0], 1001);

  const short = await start(context, echo, { lifetimeMilliseconds: 50 });
  const old = await connect(context, short.url);
  assert.equal((await old.next()).error.code, 'connection_too_old');
  assert.equal((await once(old.socket, 'close'))[0], 1013);

  const watched = await start(context, echo, { heartbeatMilliseconds: 50 });
  const silent = new WebSocket(`ws://${watched.url}`, {
    autoPong: false,
    headers: { authorization: 'Bearer k' },
  });
  assert.equal((await once(silent, 'close'))[0], 1006);
});

test('a message that is too long ends the connection', async (context) => {
  const { url } = await start(context);
  const client = await connect(context, url);
  client.send({ type: 'response.create', input: 'x'.repeat(1000) });
  assert.equal((await once(client.socket, 'close'))[0], 1009);
});
