/** Responses over a WebSocket, as OpenAI's own library and its agents use it. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Agent, setTracingDisabled, tool, withResponsesWebSocketSession } from '@openai/agents';
import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';
import {
  createGate,
  type ParleyWithDouble,
  startParleyWithDouble,
} from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
let client: OpenAI;
before(async () => {
  setTracingDisabled(true);
  server = await startParleyWithDouble({ API_KEYS: 'ada:key-of-ada' });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'key-of-ada' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

/** Sends a response.create and reads its events to their end. */
async function created(socket: ResponsesWS, body: object): Promise<any[]> {
  const events: any[] = [];
  const over = new Promise<void>((resolve, reject) => {
    const take = (event: any) => {
      events.push(event);
      if (!/^response\.(completed|failed|incomplete)$/.test(event.type)) return;
      socket.off('event', take);
      resolve();
    };
    socket.on('event', take);
    socket.once('error', reject);
  });
  socket.send({ type: 'response.create', ...body } as never);
  await over;
  return events;
}

test('the library reads the events of one response after another', async (context) => {
  const socket = new ResponsesWS(client);
  context.after(() => socket.close());
  server.double.respondOnce({ text: ['Hel', 'lo'] });
  const events = await created(socket, { model: 'double-model', input: 'Hi' });
  assert.deepEqual(
    events.map(({ sequence_number: number }) => number),
    events.map((_, index) => index),
  );
  const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
  assert.equal(deltas.map(({ delta }) => delta).join(''), 'Hello');
  const { response } = events.at(-1);
  assert.equal(events.at(-1).type, 'response.completed');
  // It is stored, and found by every other way.
  assert.equal((await client.responses.retrieve(response.id)).output_text, 'Hello');
  await created(socket, { input: 'Again', previous_response_id: response.id });
  assert.deepEqual(
    server.double.last.body.messages.map(({ content }) => content),
    ['Hi', 'Hello', 'Again'],
  );
});

test('what is not stored goes on over its connection', async (context) => {
  const socket = new ResponsesWS(client);
  context.after(() => socket.close());
  const first = await created(socket, { input: 'One', store: false });
  const { id } = first.at(-1).response;
  await assert.rejects(client.responses.retrieve(id), { status: 404 });
  await created(socket, { input: 'Two', store: false, previous_response_id: id });
  assert.deepEqual(
    server.double.last.body.messages.map(({ content }) => content),
    ['One', 'You said: One', 'Two'],
  );
});

test('errors name what is wrong, and a wrong key gets no connection', async (context) => {
  const socket = new ResponsesWS(client);
  context.after(() => socket.close());
  const failed = new Promise<any>((resolve) => socket.once('error', resolve));
  socket.send({ type: 'response.create', input: 'x', previous_response_id: 'resp_1' } as never);
  assert.match(JSON.stringify((await failed).error ?? (await failed).message), /previous_response/);
  const stranger = new ResponsesWS(new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'wrong' }));
  context.after(() => stranger.close());
  const refused = await new Promise<any>((resolve) => stranger.once('error', resolve));
  assert.match(String(refused.message), /401/);
});

test('a client that leaves ends what is not stored', async () => {
  const socket = new ResponsesWS(client);
  const gate = createGate();
  server.double.respondOnce({ text: ['One', 'Two'], waitAt: { piece: 2, wait: gate.opened } });
  socket.send({ type: 'response.create', input: 'x', store: false } as never);
  const request = await server.double.arrived(1);
  socket.close();
  await request.ended;
  assert.equal(request.aborted, true);
  gate.open();
});

test('an agent calls its tool and goes on, over one connection', async () => {
  const look = tool({
    name: 'look',
    description: 'Looks',
    parameters: { type: 'object', properties: {}, required: [], additionalProperties: false },
    strict: true,
    execute: async () => 'a tree',
  } as never);
  server.double.respondOnce(
    { toolCalls: [{ id: 'c1', name: 'look', arguments: '{}' }] },
    { text: 'I see a tree.' },
  );
  const agent = new Agent({ name: 'a', model: 'double-model', tools: [look] });
  const result = await withResponsesWebSocketSession(({ run }) => run(agent, 'What do you see?'), {
    providerOptions: { openAIClient: client },
  });
  assert.equal(result.finalOutput, 'I see a tree.');
  assert.equal(server.double.requests.length, 2);
});
