/** The Responses API as the AI SDK uses it, by its provider for OpenAI and by that for Open Responses. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, type LanguageModel, stepCountIs, streamText, tool } from 'ai';
import { type ParleyWithDouble, startParleyWithDouble } from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());
beforeEach(() => server.double.reset());

const tools = {
  weather: tool({
    description: 'The weather of a city',
    inputSchema: jsonSchema<{ city: string }>({
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};

const CALL = { toolCalls: [{ id: 'c1', name: 'weather', arguments: ['{"city":', '"Rome"}'] }] };
const roles = () => server.double.last.body.messages.map(({ role }) => role);

const models: Record<string, () => LanguageModel> = {
  '@ai-sdk/openai': () =>
    createOpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' }).responses('double-model'),
  '@ai-sdk/open-responses': () =>
    createOpenResponses({ name: 'parley', url: `${server.url}/v1/responses`, apiKey: 'any' })('double-model'),
};

for (const [name, modelOf] of Object.entries(models)) {
  describe(name, () => {
    test('text, whole and as a stream', async () => {
      const { text, usage } = await generateText({ model: modelOf(), system: 'Be kind', prompt: 'Hello' });
      assert.equal(text, 'You said: Hello');
      assert.deepEqual([usage.inputTokens, usage.outputTokens], [11, 7]);
      server.double.respondOnce({ text: ['One ', 'two'] });
      const stream = streamText({ model: modelOf(), prompt: 'Count' });
      const pieces: string[] = [];
      for await (const piece of stream.textStream) pieces.push(piece);
      assert.deepEqual(pieces, ['One ', 'two']);
      assert.equal(await stream.finishReason, 'stop');
    });

    test('a loop of tools, whole and as a stream', async () => {
      const asked = { tools, prompt: 'Rome?', stopWhen: stepCountIs(3) };
      server.double.respondOnce(CALL, { text: 'It is sunny.' });
      const { text, steps } = await generateText({ model: modelOf(), ...asked });
      assert.deepEqual([text, steps.length], ['It is sunny.', 2]);
      assert.deepEqual(roles(), ['user', 'assistant', 'tool']);
      assert.equal(server.double.last.body.messages.at(-1)?.content, 'sunny in Rome');

      server.double.respondOnce(CALL, { text: ['It is ', 'sunny.'] });
      const stream = streamText({ model: modelOf(), ...asked });
      assert.equal(await stream.text, 'It is sunny.');
      assert.deepEqual(roles(), ['user', 'assistant', 'tool']);
    });

    test('with the history that the client keeps', async () => {
      server.double.respondOnce({ reasoning: 'Hm.', text: 'Hi.' });
      const first = await generateText({ model: modelOf(), prompt: 'Hello' });
      const messages = [
        { role: 'user' as const, content: 'Hello' },
        ...first.response.messages,
        { role: 'user' as const, content: 'Again' },
      ];
      assert.equal((await generateText({ model: modelOf(), messages })).text, 'You said: Again');
      assert.deepEqual(roles(), ['user', 'assistant', 'user']);
    });
  });
}

test('@ai-sdk/openai goes on from a response, and keeps nothing if it is told to', async () => {
  const model = models['@ai-sdk/openai']!();
  const first = await generateText({ model, prompt: 'One' });
  const previousResponseId = first.providerMetadata?.['openai']?.['responseId'] as string;
  await generateText({ model, prompt: 'Two', providerOptions: { openai: { previousResponseId } } });
  assert.deepEqual(roles(), ['user', 'assistant', 'user']);

  server.double.respondOnce(CALL, { text: 'Sunny.' });
  const { text } = await generateText({
    model,
    prompt: 'Rome?',
    tools,
    stopWhen: stepCountIs(3),
    providerOptions: { openai: { store: false } },
  });
  assert.equal(text, 'Sunny.');
  assert.deepEqual(roles(), ['user', 'assistant', 'tool']);
});

test('an answer that breaks off is an error to the client, and one that is cut short is no whole one', async () => {
  for (const [name, modelOf] of Object.entries(models)) {
    server.double.reset();
    server.double.respond({ text: ['Half ', 'of it'], error: { message: 'x', code: 500 } });
    const broken = streamText({ model: modelOf(), prompt: 'Go', onError: () => undefined });
    const types: string[] = [];
    for await (const part of broken.fullStream) types.push(part.type);
    assert.ok(types.includes('error') || (await broken.finishReason) === 'error', name);
    server.double.respond({ text: ['Half ', 'of it'], finishReason: 'length' });
    const cut = streamText({ model: modelOf(), prompt: 'Go' });
    assert.equal(await cut.text, 'Half of it');
    assert.equal(await cut.finishReason, 'length', name);
  }
});
