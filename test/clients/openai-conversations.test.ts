/** Conversations as OpenAI's own library uses them, and as the memory of its agents. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Agent, OpenAIConversationsSession, OpenAIProvider, Runner } from '@openai/agents';
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

const seen = () => server.double.last.body.messages.map(({ content }) => content);

test('a conversation is made, filled, read page by page, changed and deleted', async () => {
  const { conversations } = client;
  const { id } = await conversations.create({
    metadata: { topic: 'tea' },
    items: [{ type: 'message', role: 'user', content: 'I like tea' }],
  });
  assert.deepEqual((await conversations.retrieve(id)).metadata, { topic: 'tea' });
  const { data } = await conversations.items.create(id, {
    items: [{ type: 'message', role: 'user', content: 'and jam' }],
  });
  const added = data[0];
  assert.ok(added?.type === 'message');
  const response = await client.responses.create({ conversation: id, model: 'double-model', input: 'What?' });
  assert.equal(response.output_text, 'You said: What?');
  assert.deepEqual(seen(), ['I like tea', 'and jam', 'What?']);

  const texts: unknown[] = [];
  for await (const item of conversations.items.list(id, { limit: 2, order: 'asc' })) {
    texts.push(item.type === 'message' && Object(item.content[0]).text);
  }
  assert.deepEqual(texts, ['I like tea', 'and jam', 'What?', 'You said: What?']);
  const read = await conversations.items.retrieve(added.id, { conversation_id: id });
  assert.equal(read.id, added.id);
  assert.equal((await conversations.items.delete(added.id, { conversation_id: id })).id, id);
  await assert.rejects(conversations.items.retrieve(added.id, { conversation_id: id }), OpenAI.NotFoundError);
  assert.deepEqual((await conversations.update(id, { metadata: { n: '1' } })).metadata, { n: '1' });
  assert.equal((await conversations.delete(id)).deleted, true);
  await assert.rejects(conversations.retrieve(id), OpenAI.NotFoundError);
});

test('agents keep their conversation in Parley, and take the last of it back', async () => {
  const session = new OpenAIConversationsSession({ client });
  const runner = new Runner({
    modelProvider: new OpenAIProvider({ openAIClient: client, useResponses: true }),
    tracingDisabled: true,
  });
  const agent = new Agent({ name: 'a', instructions: 'Be kind', model: 'double-model' });
  await runner.run(agent, 'I am Ada', { session });
  const second = await runner.run(agent, 'Who am I?', { session });
  assert.equal(second.finalOutput, 'You said: Who am I?');
  assert.deepEqual(seen(), ['Be kind', 'I am Ada', 'You said: I am Ada', 'Who am I?']);
  assert.equal((await session.getItems()).length, 4);
  assert.equal(Object(await session.popItem()).role, 'assistant');
  assert.equal((await session.getItems()).length, 3);
  const id = await session.getSessionId();
  await session.clearSession();
  await assert.rejects(client.conversations.retrieve(id), OpenAI.NotFoundError);
});
