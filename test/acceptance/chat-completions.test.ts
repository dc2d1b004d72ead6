/** `/v1/chat/completions` and `/v1/models` by HTTP alone: in no session, and in one that remembers. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { call } from './client.ts';
import { callOpenAI, completionClient } from './completion-client.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ API_KEYS: 'ada:key-of-ada,bob:key-of-bob' });
});
after(() => server.close());
beforeEach(() => server.double.reset());

const KEY = { authorization: 'Bearer key-of-ada' };
const { complete, streamed } = completionClient(() => server.url, KEY);
const user = (content: unknown) => ({ role: 'user', content });
const newSession = async (settings = {}) => {
  const { body } = await call(server.url, 'POST', '/sessions', settings, KEY);
  return body.id as string;
};

test('a completion reaches the provider with all its fields, and nothing of it is stored', async () => {
  const messages = [
    { role: 'system', content: 'Be kind', name: 's' },
    { role: 'user', content: [{ type: 'text', text: 'Hi', cache_control: { type: 'ephemeral' } }] },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: 'r' },
    { role: 'assistant', tool_calls: [{ id: 'd', type: 'custom', custom: { name: 'run', input: 'ls' } }] },
    { role: 'tool', tool_call_id: 'd', content: 'files' },
    { role: 'assistant', content: null, function_call: { name: 'g', arguments: '{}' } },
    { role: 'function', name: 'g', content: 'r' },
    user('Go on'),
  ];
  const options = { temperature: 0.1, logit_bias: { 1: 2 }, metadata: { a: 'b' }, unknown: [{ deep: null }] };
  const { status, body } = await complete({ model: 'double-model', messages, ...options });
  assert.equal(status, 200);
  assert.deepEqual(server.double.last.body, { ...options, model: 'double-model', messages, stream: false });
  assert.deepEqual(body.choices, [
    {
      index: 0,
      message: { role: 'assistant', content: 'You said: Go on', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ]);
  assert.deepEqual(
    [body.object, body.usage.total_tokens, body.model],
    ['chat.completion', 18, 'double-model'],
  );
  assert.match(body.id, /^chatcmpl-/);
  const { body: sessions } = await call(server.url, 'GET', '/sessions', undefined, KEY);
  assert.deepEqual(sessions.data, []);
});

test('a stream in a session has the pieces, the calls, the reason, and what was used if that is wanted', async () => {
  server.double.respondOnce({
    reasoning: 'Hm.',
    text: ['Let ', 'me.'],
    toolCalls: [{ id: 'c1', name: 'look', arguments: '{"a":1}' }],
  });
  const tools = [{ type: 'function', function: { name: 'look', parameters: {} } }];
  const session = { 'x-session-id': await newSession() };
  const asked = { messages: [user('x')], tools, stream_options: { include_usage: true } };
  const chunks = await streamed(asked, session);
  assert.equal(chunks.pop(), null);
  const deltas = chunks.flatMap(({ choices }) => choices.map((choice: any) => choice.delta));
  assert.deepEqual(deltas, [
    { role: 'assistant', content: '', reasoning_content: 'Hm.' },
    { content: 'Let ' },
    { content: 'me.' },
    {
      tool_calls: [
        { index: 0, id: 'c1', type: 'function', function: { name: 'look', arguments: '{"a":1}' } },
      ],
    },
    {},
  ]);
  assert.equal(chunks.at(-2).choices[0].finish_reason, 'tool_calls');
  assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.total_tokens], [[], 18]);
  assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  const without = await streamed({ messages: [user('x')] }, { 'x-session-id': await newSession() });
  assert.ok(!JSON.stringify(without).includes('usage'));
});

test('a stream that breaks says so, and is no whole answer', async () => {
  server.double.respond({ text: ['One ', 'two'], error: { message: 'overloaded' } });
  const frames = await streamed({ messages: [user('x')] });
  assert.ok(frames.length > 1 && !frames.includes(null));
  const { error } = frames.at(-1);
  assert.deepEqual([error.code, error.type], ['provider_error', 'server_error']);
});

test('a client that leaves ends it, in no session', async () => {
  const gate = createGate();
  server.double.respondOnce({ text: ['One', 'Two'], waitAt: { piece: 2, wait: gate.opened } });
  const leaving = new AbortController();
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...KEY },
    body: JSON.stringify({ messages: [user('x')], stream: true }),
    signal: leaving.signal,
  });
  assert.equal(response.status, 200);
  const request = await server.double.arrived(1);
  leaving.abort();
  await request.ended;
  assert.equal(request.aborted, true);
  gate.open();
});

test('in a session only what is new is taken, and what was said before is remembered', async () => {
  const session = await newSession({ instructions: 'Be brief' });
  const named = { 'x-session-id': session };
  const first = await complete({ messages: [user('One')] }, named);
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('x-session-id'), session);
  // The client's own copy of the past is not what the model sees.
  const forged = [user('Never said'), { role: 'assistant', content: 'Never answered' }, user('Two')];
  await complete({ messages: forged, session_id: `conv_${session.replaceAll('-', '')}` });
  const seen = () =>
    server.double.last.body.messages.map(({ role, content }) => `${role}: ${String(content)}`);
  assert.deepEqual(seen(), ['system: Be brief', 'user: One', 'assistant: You said: One', 'user: Two']);
  await complete({ messages: [{ role: 'system', content: 'Be long' }, user('Three')] }, named);
  assert.equal(seen()[0], 'system: Be long');
  const turn = first.headers.get('x-turn-id');
  const stored = await call(server.url, 'GET', `/sessions/${session}/turns/${turn}`, undefined, KEY);
  assert.equal(stored.body.output[0].content[0].text, 'You said: One');
  const frames = await streamed({ messages: [user('Four')] }, named);
  assert.equal(frames.at(-1), null);
  const { body } = await call(server.url, 'GET', `/sessions/${session}/messages`, undefined, KEY);
  assert.equal(body.data.length, 8);
});

test('a library that sends again by itself joins the turn of its first try, in a session', async () => {
  const session = await newSession();
  const tried = (count: number) =>
    complete(
      { messages: [user('Once')] },
      { 'x-session-id': session, 'x-stainless-retry-count': String(count) },
    );
  const answers = [await tried(0), await tried(1), await tried(0)];
  const turns = answers.map(({ headers }) => headers.get('x-turn-id'));
  assert.equal(turns[0], turns[1]);
  assert.notEqual(turns[0], turns[2]);
  assert.equal(server.double.requests.length, 2);
});

test('errors come in the envelope, and somebody else’s session is a missing one', async () => {
  const session = await newSession();
  const bob = { authorization: 'Bearer key-of-bob', 'x-session-id': session };
  const others = await complete({ messages: [user('x')] }, bob);
  const missing = await complete({ messages: [user('x')] }, { 'x-session-id': 'nobody' });
  assert.deepEqual([others.status, others.body], [404, missing.body]);
  assert.deepEqual(Object.keys(missing.body.error), ['message', 'type', 'param', 'code']);
  for (const [body, param, code] of [
    [{}, 'messages', 'invalid_request'],
    [{ messages: [] }, 'messages', 'invalid_request'],
    [
      { messages: [{ role: 'function', content: '' }], store: true },
      'messages[0].role',
      'unsupported_parameter',
    ],
    [{ messages: [user('x')], n: 2, session_id: session }, 'n', 'unsupported_parameter'],
    [{ messages: [user('x')], stream: 'yes' }, 'stream', 'invalid_request'],
    [
      { messages: [user('x'), { role: 'assistant', content: 'y' }], session_id: session },
      'messages',
      'invalid_request',
    ],
  ] as const) {
    const { status, body: answer } = await complete(body);
    assert.deepEqual([status, answer.error.param, answer.error.code], [400, param, code]);
  }
  const wrong = await complete({ messages: [user('x')] }, { authorization: 'Bearer wrong' });
  assert.deepEqual([wrong.status, wrong.body.error.code], [401, 'invalid_api_key']);
  server.double.respondOnce({ status: 400 });
  assert.equal((await complete({ messages: [user('x')], temperature: 9 })).status, 400);
});

test('models are listed as requests name them, with slashes in any form', async () => {
  const { body } = await callOpenAI(server.url, 'GET', '/v1/models', undefined, KEY);
  const ids = body.data.map(({ id }: { id: string }) => id);
  assert.deepEqual(ids, ['double-model', 'openai/double-model']);
  for (const path of ['double-model', 'openai/double-model', 'openai%2Fdouble-model']) {
    const { status, body: model } = await callOpenAI(server.url, 'GET', `/v1/models/${path}`, undefined, KEY);
    assert.deepEqual([status, model.object, model.owned_by], [200, 'model', 'openai'], path);
    assert.equal((await complete({ model: model.id, messages: [user('x')] })).status, 200);
    assert.equal(server.double.last.body.model, 'double-model');
  }
  const { status, body: none } = await callOpenAI(server.url, 'GET', '/v1/models/no/such', undefined, KEY);
  assert.deepEqual([status, none.error.code], [404, 'model_not_found']);
});
