/** Chat completions as OpenAI's own library, LangChain and the AI SDK use them, streaming and not. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { HumanMessage, SystemMessage } from '@langchain/core/messages';
import { tool as langChainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { type ParleyWithDouble, startParleyWithDouble } from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
let client: OpenAI;
before(async () => {
  server = await startParleyWithDouble();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const PARAMETERS = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const;
const CALL = { toolCalls: [{ id: 'c1', name: 'weather', arguments: '{"city":"Rome"}' }] };
const roles = () => server.double.last.body.messages.map(({ role }) => role);

test('openai: whole, streamed, and models', async () => {
  const messages = [{ role: 'user', content: 'Hello' }] as const;
  const whole = await client.chat.completions.create({ model: 'double-model', messages: [...messages] });
  assert.equal(whole.choices[0]?.message.content, 'You said: Hello');
  assert.equal(whole.usage?.total_tokens, 18);
  server.double.respondOnce({ text: ['Hel', 'lo'] });
  const stream = client.chat.completions.stream({
    model: 'double-model',
    messages: [...messages],
    stream_options: { include_usage: true },
  });
  let text = '';
  stream.on('content', (delta) => {
    text += delta;
  });
  const final = await stream.finalChatCompletion();
  assert.deepEqual(
    [text, final.choices[0]?.message.content, final.usage?.total_tokens],
    ['Hello', 'Hello', 18],
  );
  const models = await client.models.list();
  for (const { id } of models.data) assert.equal((await client.models.retrieve(id)).id, id);
});

test('openai: a loop of tools, and a session that remembers', async () => {
  server.double.respondOnce(CALL, { text: 'It is sunny.' });
  const runner = client.chat.completions.runTools({
    model: 'double-model',
    messages: [{ role: 'user', content: 'Rome?' }],
    tools: [
      {
        type: 'function',
        function: {
          name: 'weather',
          description: 'w',
          parameters: { ...PARAMETERS, required: ['city'] },
          parse: JSON.parse,
          function: () => 'sunny',
        },
      },
    ],
  });
  assert.equal(await runner.finalContent(), 'It is sunny.');
  assert.deepEqual(roles(), ['user', 'assistant', 'tool']);

  const session = await server.newSession();
  const options = { headers: { 'X-Session-ID': session } };
  for (const content of ['One', 'Two']) {
    await client.chat.completions.create(
      { model: 'double-model', messages: [{ role: 'user', content }] },
      options,
    );
  }
  assert.deepEqual(roles(), ['user', 'assistant', 'user']);
});

test('openai: stored completions are found again', async () => {
  const { completions } = client.chat;
  const made: string[] = [];
  for (const content of ['One', 'Two', 'Three']) {
    const metadata = { list: 'mine' };
    const asked = { model: 'double-model', messages: [{ role: 'user' as const, content }], metadata };
    made.push((await completions.create({ ...asked, store: true })).id);
  }
  const found: string[] = [];
  for await (const { id } of completions.list({ limit: 2, metadata: { list: 'mine' } })) found.push(id);
  assert.deepEqual(found, made);
  const [first = '', second = ''] = made;
  assert.equal((await completions.retrieve(first)).choices[0]?.message.content, 'You said: One');
  const changed = await completions.update(first, { metadata: { list: 'other' } });
  assert.deepEqual(Object(changed).metadata, { list: 'other' });
  const { data: other } = await completions.list({ metadata: { list: 'other' }, model: 'double-model' });
  assert.deepEqual(
    other.map(({ id }) => id),
    [first],
  );
  const messages: unknown[] = [];
  for await (const message of completions.messages.list(second, { limit: 1 })) messages.push(message.content);
  assert.deepEqual(messages, ['Two']);
  assert.equal((await completions.delete(second)).deleted, true);
  await assert.rejects(completions.retrieve(second), OpenAI.NotFoundError);
});

test('openai: what a provider adds comes through, whole and streamed', async () => {
  const logprobs = {
    content: [{ token: 'Hi', logprob: -0.1, bytes: null, top_logprobs: [] }],
    refusal: null,
  };
  const common = {
    id: 'chatcmpl-theirs',
    created: 1,
    model: 'm',
    system_fingerprint: 'fp_1',
    service_tier: 'flex',
  };
  const choice = { index: 0, finish_reason: 'stop', logprobs };
  const message = { role: 'assistant', content: 'Hi', refusal: null, annotations: [] };
  const body = { ...common, object: 'chat.completion', choices: [{ ...choice, message }] };
  const chunk = { ...common, object: 'chat.completion.chunk', choices: [{ ...choice, delta: message }] };
  const frames = [`data: ${JSON.stringify(chunk)}\n\n`, 'data: [DONE]\n\n'];
  server.double.respondOnce({ raw: [JSON.stringify(body)] }, { raw: frames });
  const asked = {
    model: 'double-model',
    messages: [{ role: 'user' as const, content: 'x' }],
    logprobs: true,
  };
  const whole = await client.chat.completions.create(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  for (const answer of [whole, streamed]) {
    assert.deepEqual(
      [answer.id, answer.system_fingerprint, answer.choices[0]?.logprobs],
      ['chatcmpl-theirs', 'fp_1', logprobs],
    );
  }
});

test('openai: errors are its own', async () => {
  const asked = client.chat.completions.create({ model: 'double-model', messages: [] });
  await assert.rejects(asked, (error: unknown) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual(
      [error.param, error.code, typeof error.requestID],
      ['messages', 'invalid_request', 'string'],
    );
    return true;
  });
});

test('LangChain: whole, streamed, with tools', async () => {
  const model = new ChatOpenAI({
    model: 'double-model',
    apiKey: 'any',
    configuration: { baseURL: `${server.url}/v1` },
  });
  const answer = await model.invoke([new SystemMessage('Be kind'), new HumanMessage('Hello')]);
  assert.deepEqual([answer.content, Object(answer.usage_metadata).total_tokens], ['You said: Hello', 18]);
  server.double.respondOnce({ text: ['Hel', 'lo'] });
  let text = '';
  for await (const chunk of await model.stream('x')) text += chunk.text;
  assert.equal(text, 'Hello');
  server.double.respondOnce(CALL);
  const weather = langChainTool(async () => 'sunny', {
    name: 'weather',
    description: 'w',
    schema: PARAMETERS as never,
  });
  const called = await model.bindTools([weather]).invoke('Rome?');
  assert.deepEqual(
    called.tool_calls?.map(({ name, args }) => [name, args]),
    [['weather', { city: 'Rome' }]],
  );
});

test('the AI SDK: whole, streamed, with tools', async () => {
  const model = createOpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any' }).chat('double-model');
  const { text } = await generateText({ model, prompt: 'Hello' });
  assert.equal(text, 'You said: Hello');
  server.double.respondOnce(CALL, { text: ['It is ', 'sunny.'] });
  const weather = tool({
    description: 'w',
    inputSchema: jsonSchema<{ city: string }>(PARAMETERS),
    execute: async () => 'sunny',
  });
  const streamed = streamText({ model, prompt: 'Rome?', tools: { weather }, stopWhen: stepCountIs(3) });
  let said = '';
  for await (const piece of streamed.textStream) said += piece;
  assert.equal(said, 'It is sunny.');
  assert.deepEqual(roles(), ['user', 'assistant', 'tool']);
});
