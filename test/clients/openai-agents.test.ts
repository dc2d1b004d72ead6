/** The Responses API as OpenAI's library for agents uses it, whole and streamed. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { type ParleyWithDouble, startParleyWithDouble } from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  setTracingDisabled(true);
  server = await startParleyWithDouble();
});
after(() => server.close());
beforeEach(() => server.double.reset());

const CALL = { toolCalls: [{ id: 'c1', name: 'weather', arguments: '{"city":"Rome"}' }] };

function weatherAgent(): Agent {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' });
  return new Agent({
    name: 'Weather',
    instructions: 'Tell the weather.',
    model: new OpenAIResponsesModel(client, 'double-model'),
    tools: [
      tool({
        name: 'weather',
        description: 'The weather of a city',
        parameters: {
          type: 'object',
          properties: { city: { type: 'string' } },
          required: ['city'],
          additionalProperties: false,
        },
        strict: true,
        execute: async (input) => `sunny in ${(input as { city: string }).city}`,
      }),
    ],
  });
}

const roles = () => server.double.last.body.messages.map(({ role }) => role);

test('an agent uses its tool', async () => {
  server.double.respondOnce(CALL, { text: 'It is sunny.' });
  const result = await run(weatherAgent(), 'Rome?');
  assert.equal(result.finalOutput, 'It is sunny.');
  assert.deepEqual(roles(), ['system', 'user', 'assistant', 'tool']);
  assert.equal(server.double.last.body.messages.at(-1)?.content, 'sunny in Rome');
});

test('and again, as a stream, with what was said before', async () => {
  server.double.respondOnce({ reasoning: 'Hm.', text: 'Hello.' });
  const first = await run(weatherAgent(), 'Hello');
  server.double.respondOnce(CALL, { text: ['It is ', 'sunny.'] });
  const result = await run(weatherAgent(), [...first.history, { role: 'user', content: 'Rome?' }], {
    stream: true,
  });
  let text = '';
  for await (const piece of result.toTextStream()) text += piece;
  await result.completed;
  assert.deepEqual([text, result.finalOutput], ['It is sunny.', 'It is sunny.']);
  assert.deepEqual(roles(), ['system', 'user', 'assistant', 'user', 'assistant', 'tool']);
});

test('and with what the server remembers', async () => {
  const first = await run(weatherAgent(), 'Hello');
  const previousResponseId = first.lastResponseId ?? '';
  server.double.respondOnce(CALL, { text: 'It is sunny.' });
  const result = await run(weatherAgent(), 'Rome?', { previousResponseId });
  assert.equal(result.finalOutput, 'It is sunny.');
  assert.deepEqual(roles(), ['system', 'user', 'assistant', 'user', 'assistant', 'tool']);
});
