/** `/v1/responses` by HTTP alone: what the model sees, branches, conversations, and what is found again. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { call } from './client.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { type ResponseClient, responseClient } from './response-client.ts';

let server: ParleyWithDouble;
let client: ResponseClient;
before(async () => {
  server = await startParleyWithDouble({ MEMORY_DEFAULT: '20' });
  client = responseClient(server.url);
});
after(() => server.close());
beforeEach(() => server.double.reset());

/** What the model was told last, in short. */
const seen = () => server.double.last.body.messages.map(({ role, content }) => `${role}: ${String(content)}`);

const conversationOf = (id: string) => id.replace(/^resp_(.{32}).*/, 'conv_$1');
const sessionOf = (id: string) => id.replace(/^resp_(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');

test('a response is made, read again, and followed by another that sees it', async () => {
  const first = await client.respond({ input: 'One', instructions: 'Be kind', metadata: { a: 'b' } });
  assert.deepEqual(seen(), ['system: Be kind', 'user: One']);
  assert.equal(first.output[0].content[0].text, 'You said: One');
  assert.deepEqual(
    [first.status, first.instructions, first.metadata, first.previous_response_id, first.store],
    ['completed', 'Be kind', { a: 'b' }, null, true],
  );
  assert.deepEqual(first.usage, {
    input_tokens: 11,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 7,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 18,
  });
  assert.deepEqual(await client.retrieve(first.id), first);

  const second = await client.respond({
    input: [{ role: 'user', content: 'Two' }],
    previous_response_id: first.id,
  });
  // What a response was told to be is not told to those after it.
  assert.deepEqual(seen(), ['user: One', 'assistant: You said: One', 'user: Two']);
  assert.deepEqual([second.previous_response_id, second.instructions], [first.id, null]);
});

test('the whole past is shown, unless the request or the session wants it cut', async () => {
  let { id } = await client.respond({ input: '0' });
  for (let n = 1; n < 14; n += 1)
    ({ id } = await client.respond({ input: `${n}`, previous_response_id: id }));
  assert.equal(seen().length, 27);
  const cut = await client.respond({ input: 'x', previous_response_id: id, truncation: 'auto' });
  assert.ok(seen().length <= 20);
  assert.equal(cut.truncation, 'auto');
  await call(server.url, 'PATCH', `/sessions/${sessionOf(id)}`, { memory_limit: 3 });
  await client.respond({ input: 'y', previous_response_id: id });
  assert.equal(seen().length, 3);
  const whole = await client.respond({ input: 'z', previous_response_id: id, truncation: 'disabled' });
  assert.deepEqual([seen().length, whole.truncation], [29, 'disabled']);
});

test('several responses follow the same one at once, each with its own past', async () => {
  const root = await client.respond({ input: 'Root' });
  const gate = createGate();
  server.double.respond(({ body }) => ({
    text: `To ${String(body.messages.at(-1)?.content)}`,
    waitBefore: gate.opened,
  }));
  const asked = ['a', 'b', 'c'].map((input) => client.respond({ input, previous_response_id: root.id }));
  await server.double.arrived(4);
  gate.open();
  const branches = await Promise.all(asked);
  assert.equal(
    new Set(branches.map(({ id }) => sessionOf(id))).size,
    3,
    'only one of them is in the session',
  );
  for (const [index, { id }] of branches.entries()) {
    await client.respond({ input: 'more', previous_response_id: id });
    const name = 'abc'[index];
    assert.deepEqual(seen(), [
      'user: Root',
      'assistant: You said: Root',
      `user: ${name}`,
      `assistant: To ${name}`,
      'user: more',
    ]);
  }
});

test('a conversation is a session: locked while a turn runs, and seen from both doors', async () => {
  const session = await server.newSession({ instructions: 'The session says so' });
  await server.converse(session, 'Natively');
  const conversation = `conv_${session.replaceAll('-', '')}`;
  const gate = createGate();
  server.double.respondOnce({ text: 'Slow', waitBefore: gate.opened });
  const slow = client.respond({ input: 'By response', conversation: { id: conversation } });
  await server.double.arrived(2);
  const { status, body } = await client.ask({ input: 'Too soon', conversation });
  assert.deepEqual([status, body.error.code, body.error.param], [400, 'conversation_locked', 'conversation']);
  gate.open();
  assert.deepEqual((await slow).conversation, { id: conversation });
  assert.deepEqual(seen(), [
    'system: The session says so',
    'user: Natively',
    'assistant: You said: Natively',
    'user: By response',
  ]);
  await server.converse(session, 'Again');
  assert.equal(seen().length, 6);
  const both = await client.ask({ input: 'x', conversation, previous_response_id: (await slow).id });
  assert.deepEqual([both.status, both.body.error.param], [400, 'previous_response_id']);
});

test('what is not to be stored is not found, and brings the past along', async () => {
  const first = await client.respond({ input: 'One' });
  const second = await client.respond({ input: 'Two', previous_response_id: first.id, store: false });
  assert.deepEqual(seen(), ['user: One', 'assistant: You said: One', 'user: Two']);
  assert.equal(second.store, false);
  assert.equal((await call(server.url, 'GET', `/v1/responses/${second.id}`)).status, 404);
  const { body } = await client.ask({ input: 'Three', previous_response_id: second.id });
  assert.equal(body.error.code, 'previous_response_not_found');
  for (const [field, value] of [
    ['background', true],
    ['conversation', conversationOf(first.id)],
  ] as const) {
    const refused = await client.ask({ input: 'x', store: false, [field]: value });
    assert.equal(refused.body.error.code, 'unsupported_parameter', field);
  }
});

test('items are meant by their ids, of the past and of other responses', async () => {
  server.double.respondOnce({ toolCalls: [{ id: 'c1', name: 'f', arguments: '{}' }] });
  const asked = await client.respond({ input: 'Use it', tools: [{ type: 'function', name: 'f' }] });
  const reference = { type: 'item_reference', id: asked.output[0].id };
  const result = { type: 'function_call_output', call_id: 'c1', output: '42' };
  const input = [{ role: 'user', content: 'Use it' }, reference, result];
  await client.respond({ input });
  assert.deepEqual(
    server.double.last.body.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool'],
  );
  await client.respond({ previous_response_id: asked.id, input: [reference, result] });
  assert.equal(server.double.last.body.messages.length, 3, 'the call is there once');
  const lost = await client.ask({ input: [{ type: 'item_reference', id: 'msg_1' }] });
  assert.deepEqual([lost.status, lost.body.error.param], [404, 'input[0].id']);
});

test('results go with their calls', async () => {
  const calls = ['c1', 'c2'].map((id) => ({ id, name: 'f', arguments: '{}' }));
  server.double.respondOnce({ toolCalls: calls });
  const asked = await client.respond({ input: 'Use them' });
  const result = (call_id: string) => ({ type: 'function_call_output', call_id, output: 'ok' });
  const some = await client.ask({ previous_response_id: asked.id, input: [result('c1')] });
  assert.match(some.body.error.message, /^No tool output found for function call c2/);
  const both = [result('c1'), result('c2')];
  const nowhere = await client.ask({ input: both });
  assert.match(nowhere.body.error.message, /^No tool call found for function call output with call_id c1/);
  await client.respond({ previous_response_id: asked.id, input: both });
  const other = await client.ask({ input: [result('x')], conversation: conversationOf(asked.id) });
  assert.match(other.body.error.message, /^No tool call found for function call output with call_id x/);
});

test('in the background it is answered at once, found later, stopped and followed', async () => {
  const gate = createGate();
  server.double.respondOnce({ text: ['Half ', 'of it'], waitAt: { piece: 2, wait: gate.opened } });
  const begun = await client.respond({ input: 'Take your time', background: true, metadata: { m: '1' } });
  assert.ok(['queued', 'in_progress'].includes(begun.status));
  const running = await client.retrieve(begun.id);
  assert.deepEqual([running.status, running.background, running.metadata], ['in_progress', true, { m: '1' }]);
  gate.open();
  const over = await client.until(begun.id, 'completed');
  assert.deepEqual([over.output[0].content[0].text, over.background], ['Half of it', true]);
  const events = await client.replay(begun.id, -1);
  assert.deepEqual(
    events.slice(0, 3).map(({ type, response }) => [type, response.status]),
    [
      ['response.created', 'queued'],
      ['response.queued', 'queued'],
      ['response.in_progress', 'in_progress'],
    ],
  );

  server.double.respondOnce({ text: ['Half ', 'of it'], waitAt: { piece: 2, wait: new Promise(() => {}) } });
  const endless = await client.respond({ input: 'For ever', background: true });
  await server.double.arrived(2);
  const { body: stopped } = await call(server.url, 'POST', `/v1/responses/${endless.id}/cancel`);
  assert.deepEqual([stopped.status, stopped.error], ['cancelled', null]);
  assert.deepEqual((await call(server.url, 'POST', `/v1/responses/${over.id}/cancel`)).body, over);
});

test('what was told is listed page by page', async () => {
  const { id } = await client.respond({
    input: ['a', 'b', 'c'].map((content) => ({ role: 'user', content })),
  });
  const page = async (query: string) =>
    (await call(server.url, 'GET', `/v1/responses/${id}/input_items?${query}`)).body;
  const texts = ({ data }: any) => data.map((item: any) => item.content[0].text);
  assert.deepEqual(texts(await page('')), ['c', 'b', 'a']);
  const first = await page('limit=2&order=asc');
  assert.deepEqual([texts(first), first.has_more], [['a', 'b'], true]);
  const rest = await page(`limit=2&order=asc&after=${first.last_id}`);
  assert.deepEqual([texts(rest), rest.has_more], [['c'], false]);
  assert.equal((await page('after=nothing')).error.code, 'invalid_cursor');
});

test('a response that is deleted is gone, and what followed it does not see it', async () => {
  const alone = await client.respond({ input: 'Alone' });
  const gone = await call(server.url, 'DELETE', `/v1/responses/${alone.id}`);
  assert.deepEqual(gone.body, { id: alone.id, object: 'response', deleted: true });
  assert.equal((await call(server.url, 'GET', `/sessions/${sessionOf(alone.id)}`)).status, 404);

  const first = await client.respond({ input: 'A secret' });
  const second = await client.respond({ input: 'Two', previous_response_id: first.id });
  await call(server.url, 'DELETE', `/v1/responses/${first.id}`);
  for (const path of ['', '/input_items', '?stream=true']) {
    assert.equal((await call(server.url, 'GET', `/v1/responses/${first.id}${path}`)).status, 404, path);
  }
  assert.equal((await client.ask({ input: 'x', previous_response_id: first.id })).status, 400);
  await client.respond({ input: 'Three', previous_response_id: second.id });
  assert.deepEqual(seen(), ['user: Two', 'assistant: You said: Two', 'user: Three']);
  const list = await call(server.url, 'GET', '/v1/responses?limit=100');
  assert.ok(!list.body.data.some(({ id }: { id: string }) => id === first.id));
});

test('all responses are listed, newest first, whichever door they came in by', async () => {
  const session = await server.newSession();
  const { turn_id: turnId } = await server.converse(session, 'Natively');
  // Waits for the result of another call, and no model is asked.
  const waiting = await server.newSession();
  server.double.respondOnce({ toolCalls: ['c1', 'c2'].map((id) => ({ id, name: 'f', arguments: '{}' })) });
  await server.converse(waiting, 'Use them');
  await server.send(waiting, 'ok', { role: 'tool', tool_call_id: 'c1' });
  const made = await client.respond({ input: 'x' });
  const { body: first } = await call(server.url, 'GET', '/v1/responses?limit=1');
  assert.deepEqual([first.data[0].id, first.has_more], [made.id, true]);
  const { body: rest } = await call(server.url, 'GET', `/v1/responses?limit=2&after=${first.last_id}`);
  const next = { data: rest.data.slice(1) };
  assert.equal(next.data[0].id, `resp_${`${session}${turnId}`.replaceAll('-', '')}`);
  assert.equal(rest.data[0].output.length, 2);
  assert.equal((await client.retrieve(next.data[0].id)).output[0].content[0].text, 'You said: Natively');
});

test('a library that sends again by itself joins what it has begun', async () => {
  for (const more of [{}, { previous_response_id: (await client.respond({ input: 'Root' })).id }]) {
    server.double.reset();
    const body = { input: 'Once', ...more };
    const gate = createGate();
    server.double.respondOnce({ text: 'First', waitBefore: gate.opened });
    const first = client.respond(body, { 'x-stainless-retry-count': '0' });
    await server.double.arrived(1);
    const second = client.respond(body, { 'x-stainless-retry-count': '1' });
    gate.open();
    assert.deepEqual(await second, await first);
    assert.deepEqual(await client.respond(body, { 'x-stainless-retry-count': '2' }), await first);
    assert.equal(server.double.requests.length, 1);
    const anew = await client.respond(body, { 'x-stainless-retry-count': '0' });
    assert.notEqual(anew.id, (await first).id);
  }
});

test('what was sent again joins what was made in a copy, when the session is free again', async () => {
  const root = await client.respond({ input: 'Root' });
  const gate = createGate();
  server.double.respondOnce({ text: 'Slow', waitBefore: gate.opened });
  const slow = client.respond({ input: 'Slow', previous_response_id: root.id });
  await server.double.arrived(2);
  const body = { input: 'Beside', previous_response_id: root.id };
  const made = await client.respond(body, { 'x-stainless-retry-count': '0' });
  const keyed = await client.respond({ ...body, metadata: { a: 'b' } }, { 'idempotency-key': 'k' });
  gate.open();
  await slow;
  assert.deepEqual(await client.respond(body, { 'x-stainless-retry-count': '1' }), made);
  assert.deepEqual(
    await client.respond({ ...body, metadata: { a: 'b' } }, { 'idempotency-key': 'k' }),
    keyed,
  );
  const anew = await client.respond(body, { 'x-stainless-retry-count': '0' });
  assert.notEqual(anew.id, made.id);
  assert.deepEqual(await client.respond(body, { 'x-stainless-retry-count': '1' }), anew);
});

test('what fails is answered with its status, and nothing is left behind', async () => {
  server.double.respondOnce({ status: 400 });
  const { status, body } = await client.ask({ input: 'x', stream: true });
  assert.deepEqual([status, body.error.code], [400, 'provider_rejected_request']);
  const before = (await call(server.url, 'GET', '/sessions?limit=100')).body.data.length;
  const nobody = await client.ask({ input: 'x', tools: [{ type: 'mcp', server_label: 'nobody' }] });
  assert.deepEqual([nobody.status, nobody.body.error.param], [400, 'tools[0].server_label']);
  assert.equal((await call(server.url, 'GET', '/sessions?limit=100')).body.data.length, before);
});

test('tokens are counted with the past, and a conversation is summed up', async () => {
  const count = async (body: object) =>
    (await call(server.url, 'POST', '/v1/responses/input_tokens', body)).body.input_tokens;
  const alone = await count({ input: 'Hello there' });
  assert.ok(alone > 2 && alone < 10);
  const first = await client.respond({ input: 'A rather long story about a fox' });
  const after = await count({ input: 'Hello there', previous_response_id: first.id });
  assert.ok(after > alone + 10);
  const tools = [{ type: 'function', name: 'f', description: 'Finds a fox', parameters: {} }];
  assert.ok((await count({ input: 'Hello there', tools })) > alone);

  server.double.respondOnce({ text: 'There was a fox.' });
  const { body } = await call(server.url, 'POST', '/v1/responses/compact', {
    previous_response_id: first.id,
    input: 'And it ran.',
  });
  assert.deepEqual(
    server.double.last.body.messages.map(({ role }) => role),
    ['user', 'assistant', 'user', 'user'],
  );
  assert.equal(body.object, 'response.compaction');
  await client.respond({ input: [...body.output, { role: 'user', content: 'Go on' }] });
  assert.match(seen()[0] ?? '', /There was a fox\.$/);
});
