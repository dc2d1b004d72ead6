/** The Responses API as LangChain uses it: whole and streamed, with tools, with history that the server or the client keeps. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { type ParleyWithDouble, startParleyWithDouble } from '../acceptance/parley-with-double.ts';

let server: ParleyWithDouble;
let model: ChatOpenAI;
before(async () => {
  server = await startParleyWithDouble();
  model = new ChatOpenAI({
    model: 'double-model',
    apiKey: 'any',
    useResponsesApi: true,
    configuration: { baseURL: `${server.url}/v1` },
  });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const seen = () => server.double.last.body.messages.map(({ role, content }) => `${role}: ${String(content)}`);
const weather = tool(async () => 'sunny', {
  name: 'weather',
  description: 'The weather of a city',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  } as never,
});
const CALL = { toolCalls: [{ id: 'c1', name: 'weather', arguments: ['{"city":', '"Rome"}'] }] };
const idOf = (answer: { response_metadata: Record<string, unknown> }) =>
  String(answer.response_metadata['id']);

test('whole and streamed', async () => {
  const answer = await model.invoke([new SystemMessage('Be kind'), new HumanMessage('Hello')]);
  assert.deepEqual([answer.text, Object(answer.usage_metadata).total_tokens], ['You said: Hello', 18]);
  server.double.respondOnce({ text: ['Hel', 'lo'], reasoning: 'Hm.' });
  const pieces: string[] = [];
  for await (const chunk of await model.stream('x')) if (chunk.text !== '') pieces.push(chunk.text);
  assert.deepEqual(pieces, ['Hel', 'lo']);
});

test('the conversation is on the server, or comes along', async () => {
  const first = await model.invoke('I am Ada');
  const second = await model.invoke('Who am I?', { previous_response_id: idOf(first) });
  assert.deepEqual(seen(), ['user: I am Ada', 'assistant: You said: I am Ada', 'user: Who am I?']);
  assert.equal(second.text, 'You said: Who am I?');
  const history = [new HumanMessage('I am Bob'), new AIMessage('Welcome'), new HumanMessage('And?')];
  for await (const _ of await model.stream(history)) continue;
  assert.deepEqual(seen(), ['user: I am Bob', 'assistant: Welcome', 'user: And?']);
});

test('tools are called, and their results come back', async () => {
  for (const streams of [false, true]) {
    server.double.reset();
    server.double.respondOnce(CALL, { text: 'It is sunny.' });
    const bound = model.bindTools([weather]);
    const asked: BaseMessage[] = [new HumanMessage('Rome?')];
    const answered = async () => {
      if (!streams) return bound.invoke(asked);
      const chunks = [];
      for await (const chunk of await bound.stream(asked)) chunks.push(chunk);
      return chunks.reduce((whole, chunk) => whole.concat(chunk));
    };
    const called = await answered();
    assert.deepEqual(
      called.tool_calls?.map(({ name, args }) => [name, args]),
      [['weather', { city: 'Rome' }]],
    );
    const id = called.tool_calls?.[0]?.id ?? '';
    asked.push(called, new ToolMessage({ content: 'sunny', tool_call_id: id }));
    assert.equal((await answered()).text, 'It is sunny.');
    assert.deepEqual(
      server.double.last.body.messages.map(({ role }) => role),
      ['user', 'assistant', 'tool'],
    );
  }
});
