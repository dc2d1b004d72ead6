/** Tool calls that the caller answers: passed on, answered with `role: "tool"`, and never torn apart. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const tools = [
  {
    type: 'function',
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
];
const call = (id: string, city: string) => ({ id, name: 'weather', arguments: `{"city":"${city}"}` });
const shown = (id: string, city: string) => ({
  id,
  type: 'function',
  function: { name: 'weather', arguments: `{"city":"${city}"}` },
});

/** Has the model make these calls, and returns the answer. */
async function callsMade(
  id: string,
  text: string,
  ...calls: readonly ReturnType<typeof call>[]
): Promise<any> {
  server.double.respondOnce({ toolCalls: calls });
  const { status, body } = await server.send(id, text, { options: { tools } });
  assert.equal(status, 200);
  return body;
}

const answerCall = (id: string, callId: string, content: unknown) =>
  server.send(id, content, { role: 'tool', tool_call_id: callId, options: { tools } });

/** Fails where a provider would: a call without its result right after it, or a result without its call. */
function assertWellFormed(messages: readonly any[]): void {
  const open = new Set<string>();
  for (const message of messages) {
    if (message.role === 'tool') {
      assert.ok(open.delete(message.tool_call_id), `result without call: ${message.tool_call_id}`);
      continue;
    }
    assert.deepEqual([...open], [], `calls without results before ${JSON.stringify(message)}`);
    for (const one of message.tool_calls ?? []) open.add(one.id);
  }
  assert.deepEqual([...open], [], 'calls without results at the end');
}

test('the caller’s tools reach the provider, and the model’s calls come back', async () => {
  const id = await server.newSession();
  const answer = await callsMade(id, 'Weather in Rome?', call('call_1', 'Rome'));
  assert.deepEqual(server.double.last.body['tools'], tools);
  assert.equal(answer.status, 'completed');
  assert.equal(answer.finish_reason, 'tool_calls');
  assert.equal(answer.message.content, null);
  assert.deepEqual(answer.message.tool_calls, [shown('call_1', 'Rome')]);

  const { body: turn } = await server.call('GET', `/sessions/${id}/turns/${answer.turn_id}`);
  const [item, ...others] = turn.output;
  assert.deepEqual(others, []);
  assert.deepEqual(
    { ...item, id: '' },
    {
      type: 'function_call',
      id: '',
      call_id: 'call_1',
      name: 'weather',
      arguments: '{"city":"Rome"}',
      status: 'completed',
    },
  );
});

test('a result goes to the model behind its call, and the answer follows', async () => {
  const id = await server.newSession();
  await callsMade(id, 'Weather in Rome?', call('call_1', 'Rome'));
  server.double.respondOnce({ text: 'Sunny.' });
  const { status, body } = await answerCall(id, 'call_1', '{"sky":"clear"}');
  assert.equal(status, 200);
  assert.equal(body.message.content, 'Sunny.');
  assert.deepEqual(server.double.last.body.messages, [
    { role: 'user', content: 'Weather in Rome?' },
    { role: 'assistant', content: null, tool_calls: [shown('call_1', 'Rome')] },
    { role: 'tool', tool_call_id: 'call_1', content: '{"sky":"clear"}' },
  ]);
  const { body: list } = await server.call('GET', `/sessions/${id}/messages`);
  assert.deepEqual(
    list.data.map(({ role, content, tool_call_id: callId, tool_calls: calls }: any) => [
      role,
      content,
      callId ?? calls?.[0].id,
    ]),
    [
      ['user', 'Weather in Rome?', undefined],
      ['assistant', null, 'call_1'],
      ['tool', '{"sky":"clear"}', 'call_1'],
      ['assistant', 'Sunny.', undefined],
    ],
  );
  await server.converse(id, 'Thanks');
  assertWellFormed(server.double.last.body.messages);
  assert.equal(server.double.last.body.messages.length, 5);
});

test('the model is asked when the last of parallel calls is answered, not before', async () => {
  const id = await server.newSession();
  await callsMade(id, 'Rome and Oslo?', call('call_r', 'Rome'), call('call_o', 'Oslo'));
  const asked = server.double.requests.length;
  const first = await answerCall(id, 'call_o', 'snow');
  assert.equal(first.status, 200);
  assert.equal(first.body.message, null);
  assert.equal(first.body.status, 'completed');
  assert.deepEqual([first.body.attempts, first.body.usage, first.body.finish_reason], [[], null, null]);
  assert.equal(server.double.requests.length, asked, 'the model was not asked');

  server.double.respondOnce({ text: 'Sun here, snow there.' });
  const second = await answerCall(id, 'call_r', 'sun');
  assert.equal(second.body.message.content, 'Sun here, snow there.');
  assert.equal(server.double.requests.length, asked + 1);
  const { messages } = server.double.last.body;
  assertWellFormed(messages);
  assert.deepEqual(messages.slice(0, 2), [
    { role: 'user', content: 'Rome and Oslo?' },
    { role: 'assistant', content: null, tool_calls: [shown('call_r', 'Rome'), shown('call_o', 'Oslo')] },
  ]);
  assert.deepEqual(
    new Map(messages.slice(2).map(({ content, tool_call_id: callId }) => [callId, content])),
    new Map([
      ['call_o', 'snow'],
      ['call_r', 'sun'],
    ]),
  );
});

test('text beside calls is kept, and a second round of calls goes on', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ text: 'Let me look.', toolCalls: [call('call_1', 'Rome')] });
  const first = await server.send(id, 'Weather?', { options: { tools } });
  assert.equal(first.body.message.content, 'Let me look.');
  assert.equal(first.body.message.tool_calls.length, 1);
  server.double.respondOnce({ toolCalls: [call('call_2', 'Oslo')] });
  const second = await answerCall(id, 'call_1', 'sun');
  assert.equal(second.body.message.tool_calls[0].id, 'call_2');
  await answerCall(id, 'call_2', 'snow');
  assertWellFormed(server.double.last.body.messages);
  assert.deepEqual(
    server.double.last.body.messages.map(({ role, content }) => [role, content]),
    [
      ['user', 'Weather?'],
      ['assistant', 'Let me look.'],
      ['tool', 'sun'],
      ['assistant', null],
      ['tool', 'snow'],
    ],
  );
});

test('a result that answers no open call is refused', async () => {
  const id = await server.newSession();
  const refused = async (callId: string) => {
    const { status, body } = await answerCall(id, callId, 'x');
    assert.deepEqual([status, body.error.code], [400, 'tool_call_not_found'], callId);
    assert.equal(body.error.details.tool_call_id, callId);
  };
  await refused('call_1');
  await callsMade(id, 'Weather?', call('call_1', 'Rome'));
  await refused('call_2');
  await answerCall(id, 'call_1', 'sun');
  await refused('call_1');
  // Refusals left nothing in the conversation.
  const { body } = await server.call('GET', `/sessions/${id}/messages`);
  assert.equal(body.data.length, 4);
});

test('calls that were given up do not keep the conversation from going on', async () => {
  const id = await server.newSession();
  await callsMade(id, 'Rome and Oslo?', call('call_r', 'Rome'), call('call_o', 'Oslo'));
  await answerCall(id, 'call_r', 'sun');
  await server.converse(id, 'Never mind. Hello!');
  const { messages } = server.double.last.body;
  assertWellFormed(messages);
  assert.equal(messages.at(-1)?.content, 'Never mind. Hello!');
  assert.equal(messages.find((message) => message['tool_call_id'] === 'call_r')?.content, 'sun');
  await server.converse(id, 'And on');
  assertWellFormed(server.double.last.body.messages);
});

test('the result of a failed turn can be sent again', async () => {
  const id = await server.newSession();
  await callsMade(id, 'Weather?', call('call_1', 'Rome'));
  server.double.respondOnce({ status: 404 });
  assert.equal((await answerCall(id, 'call_1', 'sun')).status, 502);
  assert.equal((await answerCall(id, 'call_1', 'rain')).status, 200);
  assertWellFormed(server.double.last.body.messages);
  assert.equal(server.double.last.body.messages.at(-1)?.content, 'rain');
});

for (const limit of [1, 2, 3, 4, 5, 7]) {
  test(`a memory of ${limit} never separates a call from its result`, async () => {
    const id = await server.newSession({ memory_limit: limit });
    for (let round = 0; round < 4; round += 1) {
      await server.converse(id, `chat ${round}`);
      const [a, b] = [`call_${round}_a`, `call_${round}_b`];
      await callsMade(id, `question ${round}`, call(a, 'Rome'), call(b, 'Oslo'));
      assert.equal((await answerCall(id, a, 'sun')).status, 200);
      server.double.respondOnce({ toolCalls: [call(`${a}_2`, 'Bonn')] });
      assert.equal((await answerCall(id, b, 'snow')).status, 200);
      const { messages: both } = server.double.last.body;
      assert.deepEqual(
        both.filter(({ role }) => role === 'tool').map(({ content }) => content),
        ['sun', 'snow'],
        'what is being answered is seen, whatever the limit',
      );
      assert.equal((await answerCall(id, `${a}_2`, 'rain')).status, 200);
      assert.equal(server.double.last.body.messages.at(-1)?.content, 'rain');
    }
    for (const { body } of server.double.requests) assertWellFormed(body.messages);
  });
}

test('a conversation is never cut inside an exchange of calls and results', async () => {
  for (const limit of [5, 6, 7, 8, 9, 16]) {
    const id = await server.newSession({ memory_limit: limit });
    for (let round = 0; round < 3; round += 1) {
      const callId = `call_${round}`;
      await callsMade(id, `question ${round}`, call(callId, 'Rome'));
      await answerCall(id, callId, 'sun');
      for (const text of ['chat', 'more chat', 'yet more chat']) {
        await server.converse(id, text);
        const { messages } = server.double.last.body;
        assertWellFormed(messages);
        assert.ok(messages.length <= limit);
        assert.equal(
          messages[0]?.role,
          'user',
          `a memory of ${limit} begins with ${JSON.stringify(messages[0])}`,
        );
      }
    }
  }
});
