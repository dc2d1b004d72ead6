/** The Responses API as OpenAI's own library uses it, streaming and not. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import {
  createGate,
  type ParleyWithDouble,
  startParleyWithDouble,
} from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
let client: OpenAI;
before(async () => {
  server = await startParleyWithDouble();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const WEATHER = {
  type: 'function',
  name: 'weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: true,
} as const;

test('a response, and another after it', async () => {
  const first = await client.responses.create({ model: 'double-model', input: 'Hello' });
  assert.equal(first.output_text, 'You said: Hello');
  const second = await client.responses.create({
    model: 'double-model',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'Again' }] }],
    previous_response_id: first.id,
    max_output_tokens: 50,
  });
  assert.equal(server.double.last.body.messages.length, 3);
  assert.equal(server.double.last.body['max_completion_tokens'], 50);
  const read = await client.responses.retrieve(second.id);
  assert.deepEqual([read.output_text, read.previous_response_id], ['You said: Again', first.id]);
});

test('a loop of tools', async () => {
  server.double.respondOnce({ toolCalls: [{ id: 'c1', name: 'weather', arguments: '{"city":"Rome"}' }] });
  const asked = await client.responses.create({ input: 'Rome?', tools: [WEATHER] });
  const [called] = asked.output;
  assert.ok(called?.type === 'function_call');
  assert.deepEqual([called.name, called.arguments], ['weather', '{"city":"Rome"}']);
  assert.deepEqual(server.double.last.body['tools'], [
    {
      type: 'function',
      function: {
        name: WEATHER.name,
        description: WEATHER.description,
        parameters: WEATHER.parameters,
        strict: true,
      },
    },
  ]);
  const result = { type: 'function_call_output', call_id: called.call_id, output: 'sunny' } as const;
  await client.responses.create({ previous_response_id: asked.id, input: [result], tools: [WEATHER] });
  assert.deepEqual(
    server.double.last.body.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool'],
  );
  // Without a store of its own at the server, the client sends back what it was given.
  const input = [{ role: 'user' as const, content: 'Rome?' }, ...asked.output, result];
  await client.responses.create({ input: input as OpenAI.Responses.ResponseInput, store: false });
  assert.deepEqual(
    server.double.last.body.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool'],
  );
});

test('an answer by a schema', async () => {
  server.double.respondOnce({ text: '{"n":3}' });
  const schema = {
    type: 'object',
    properties: { n: { type: 'number' } },
    required: ['n'],
    additionalProperties: false,
  };
  const response = await client.responses.parse({
    input: 'A number',
    text: { format: { type: 'json_schema', name: 'number', schema, strict: true } },
  });
  assert.deepEqual(response.output_parsed, { n: 3 });
  assert.deepEqual(server.double.last.body['response_format'], {
    type: 'json_schema',
    json_schema: { name: 'number', schema, strict: true },
  });
});

test('a stream, with the helper and without', async () => {
  server.double.respond({ reasoning: ['Hm.'], text: ['One ', 'two'] });
  let text = '';
  for await (const event of await client.responses.create({ input: 'Count', stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  assert.equal(text, 'One two');
  const stream = client.responses.stream({ model: 'double-model', input: 'Count' });
  const deltas: string[] = [];
  stream.on('response.output_text.delta', ({ delta, snapshot }) => deltas.push(delta, snapshot));
  const final = await stream.finalResponse();
  assert.deepEqual(deltas, ['One ', 'One ', 'two', 'One two']);
  assert.equal(final.output_text, 'One two');
});

test('a response in the background, polled, and followed from the middle', async () => {
  const gate = createGate();
  server.double.respondOnce({ text: ['One ', 'two'], waitAt: { piece: 2, wait: gate.opened } });
  const begun = await client.responses.create({ input: 'Count', background: true });
  const followed = client.responses.retrieve(begun.id, { stream: true, starting_after: 4 });
  const resumed = client.responses.stream({ response_id: begun.id, starting_after: 4 });
  const again: number[] = [];
  resumed.on('event', (event) => again.push(event.sequence_number));
  gate.open();
  const numbers: number[] = [];
  for await (const event of await followed) numbers.push(event.sequence_number);
  assert.equal(numbers[0], 5);
  assert.equal((await resumed.finalResponse()).output_text, 'One two');
  assert.deepEqual(again, numbers);
  let response = begun;
  while (response.status === 'queued' || response.status === 'in_progress') {
    response = await client.responses.retrieve(begun.id);
  }
  assert.deepEqual([response.status, response.output_text], ['completed', 'One two']);
});

test('a response is stopped, and one that is deleted is not found', async () => {
  server.double.respondOnce({ text: ['One ', 'two'], waitAt: { piece: 2, wait: new Promise(() => {}) } });
  const endless = await client.responses.create({ input: 'For ever', background: true });
  await server.double.arrived(1);
  assert.equal((await client.responses.cancel(endless.id)).status, 'cancelled');
  await client.responses.delete(endless.id);
  await assert.rejects(client.responses.retrieve(endless.id), OpenAI.NotFoundError);
});

test('what was told is paged through', async () => {
  const input = ['a', 'b', 'c'].map((content) => ({ role: 'user' as const, content }));
  const { id } = await client.responses.create({ input });
  const texts: unknown[] = [];
  for await (const item of client.responses.inputItems.list(id, { limit: 2, order: 'asc' })) {
    if (item.type === 'message') texts.push(item.content[0]);
  }
  assert.deepEqual(
    texts,
    ['a', 'b', 'c'].map((text) => ({ type: 'input_text', text })),
  );
});

test('errors are the ones that the library knows', async () => {
  await assert.rejects(client.responses.create({ input: 'x', previous_response_id: 'resp_1' }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.code, error.param], ['previous_response_not_found', 'previous_response_id']);
    assert.ok(error.requestID);
    return true;
  });
  await assert.rejects(
    client.responses.create({ input: 'x', tools: [{ type: 'web_search' }] }),
    /not supported/,
  );
});

test('a fault of the provider is tried again by the library, as the same response', async () => {
  // What the server itself tries again first.
  server.double.respondOnce(...Array.from({ length: 2 }, () => ({ status: 500 })));
  const response = await client.responses.create({ input: 'Once' });
  assert.equal(response.output_text, 'You said: Once');
  const { body } = await server.callRaw('GET', '/sessions?limit=1');
  const { body: turns } = await server.callRaw('GET', `/sessions/${body.data[0].id}/turns`);
  assert.deepEqual(
    turns.data.map(({ status }: { status: string }) => status),
    ['failed', 'completed'],
  );
});
