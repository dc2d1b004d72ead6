/** Messages over HTTP: what reaches the provider, what the answer says, and the conversation read back. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

async function messagesOf(sessionId: string, query = ''): Promise<any> {
  const { status, body } = await server.call('GET', `/sessions/${sessionId}/messages${query}`);
  assert.equal(status, 200);
  return body;
}

test('the whole conversation reaches the provider, instructions first', async () => {
  const id = await server.newSession({ instructions: 'Be brief.' });
  await server.converse(id, 'one');
  assert.deepEqual(server.double.last.body.messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'one' },
  ]);
  await server.converse(id, 'two', 'three');
  assert.deepEqual(server.double.last.body.messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'You said: one' },
    { role: 'user', content: 'two' },
    { role: 'assistant', content: 'You said: two' },
    { role: 'user', content: 'three' },
  ]);
  assert.equal(server.double.last.body.model, 'double-model');
  assert.equal(server.double.last.headers.authorization, 'Bearer sk-double-key');
});

test('changed instructions hold from the next message on', async () => {
  const id = await server.newSession({ instructions: 'Old.' });
  await server.converse(id, 'one');
  await server.call('PATCH', `/sessions/${id}`, { instructions: 'New.' });
  await server.converse(id, 'two');
  assert.deepEqual(server.double.last.body.messages[0], { role: 'system', content: 'New.' });
  await server.call('PATCH', `/sessions/${id}`, { instructions: null });
  await server.converse(id, 'three');
  assert.deepEqual(server.double.last.body.messages[0], { role: 'user', content: 'one' });
});

test('an answer says who answered what, why, at which cost, and what was seen', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'one');
  server.double.respondOnce({
    text: 'Two it is.',
    model: 'double-model-0913',
    usageCounts: {
      prompt_tokens: 20,
      prompt_tokens_details: { cached_tokens: 16 },
      completion_tokens: 5,
      completion_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 25,
    },
  });
  const { status, body } = await server.send(id, 'two');
  assert.equal(status, 200);
  assert.equal(body.session_id, id);
  assert.match(body.turn_id, UUID);
  assert.notEqual(body.turn_id, first.turn_id);
  assert.equal(body.status, 'completed');
  assert.equal(body.provider, 'openai');
  assert.equal(body.provider_source, 'default');
  assert.equal(body.model, 'double-model-0913');
  assert.equal(body.finish_reason, 'stop');
  assert.equal(body.message.role, 'assistant');
  assert.equal(body.message.content, 'Two it is.');
  assert.equal(body.message.turn_id, body.turn_id);
  const usage = {
    input_tokens: 20,
    input_tokens_details: { cached_tokens: 16 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 25,
  };
  assert.deepEqual(body.usage, usage);
  assert.deepEqual(
    body.history.map((message: any) => [message.role, message.content, message.turn_id]),
    [
      ['user', 'one', first.turn_id],
      ['assistant', 'You said: one', first.turn_id],
      ['user', 'two', body.turn_id],
      ['assistant', 'Two it is.', body.turn_id],
    ],
  );
  const [attempt, ...others] = body.attempts;
  assert.deepEqual(others, []);
  assert.equal(attempt.provider, 'openai');
  assert.equal(attempt.status, 'completed');
  assert.equal(attempt.error, null);
  assert.deepEqual(attempt.usage, usage);
  assert.ok(attempt.duration_ms >= 0);
});

test('provider and model of the session, the body and the header are used, and named as the source', async () => {
  const id = await server.newSession({ provider: 'openai', model: 'of-session' });
  const plain = await server.converse(id, 'x');
  assert.deepEqual([plain.provider_source, server.double.last.body.model], ['session', 'of-session']);
  const { body: model } = await server.send(id, 'x', { model: 'of-request' });
  assert.deepEqual([model.provider_source, server.double.last.body.model], ['override', 'of-request']);
  const { body: provider } = await server.send(await server.newSession(), 'x', { provider: ' OpenAI ' });
  assert.deepEqual([provider.provider_source, provider.provider], ['override', 'openai']);
});

test('content parts reach the provider in the form of chat, and are read back unchanged', async () => {
  const id = await server.newSession();
  const content = [
    { type: 'text', text: 'What is this? ⚙' },
    { type: 'image_url', image_url: { url: 'https://example.test/a.png', detail: 'low' } },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
    { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
    { type: 'file', file: { file_id: 'file-123' } },
  ];
  await server.converse(id, content);
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content }]);
  const { data } = await messagesOf(id);
  assert.deepEqual(data[0].content, content);
  await server.converse(id, 'and now?');
  assert.deepEqual(server.double.last.body.messages[0], { role: 'user', content });
});

test('text is kept to the last character', async () => {
  const texts = [
    '',
    ' ',
    '\u0000',
    'a\r\nb\tc',
    '𝒳 👩‍👩‍👧 e\u0301',
    '"}]',
    '[DONE]',
    '\u2028\ufeff',
    'x'.repeat(100_000),
  ];
  const id = await server.newSession({ memory_limit: 100 });
  for (const text of texts) {
    await server.converse(id, text);
    assert.equal(server.double.last.body.messages.at(-1)?.content, text);
  }
  const { data } = await messagesOf(id, '?limit=100');
  assert.deepEqual(
    data.filter(({ role }: any) => role === 'user').map((message: any) => message.content),
    texts,
  );
});

test('system and developer messages keep their role', async () => {
  const id = await server.newSession();
  for (const role of ['system', 'developer'] as const) {
    const { body } = await server.send(id, `from ${role}`, { role });
    assert.deepEqual(server.double.last.body.messages.at(-1), { role, content: `from ${role}` });
    assert.equal(body.history.at(-2).role, role);
  }
  const { data } = await messagesOf(id);
  assert.deepEqual(
    data.map((message: any) => message.role),
    ['system', 'assistant', 'developer', 'assistant'],
  );
});

test('the metadata of a message is kept for the caller and hidden from the provider', async () => {
  const id = await server.newSession();
  const metadata = { source: 'mail', ä: '"' };
  await server.send(id, 'Hello', { metadata });
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content: 'Hello' }]);
  const { data } = await messagesOf(id);
  assert.deepEqual(data[0].metadata, metadata);
  assert.deepEqual(data[1].metadata, {});
});

test('options reach the provider as they are', async () => {
  const id = await server.newSession();
  const options = {
    temperature: 0.2,
    max_tokens: 50,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } },
    unknown_option: [1, null, { deep: true }],
  };
  await server.send(id, 'Hello', { options });
  for (const [name, value] of Object.entries(options)) {
    assert.deepEqual(server.double.last.body[name], value);
  }
});

test('the answer is the message that the conversation then holds', async () => {
  const id = await server.newSession();
  const { message } = await server.converse(id, 'one');
  const { data } = await messagesOf(id);
  assert.deepEqual(data[1], message);
});

test('the messages are listed by pages, both ways', async () => {
  const id = await server.newSession();
  await server.converse(id, 'a', 'b', 'c');
  const all = (await messagesOf(id)).data;
  assert.deepEqual(
    all.map((message: any) => message.content),
    ['a', 'You said: a', 'b', 'You said: b', 'c', 'You said: c'],
  );
  for (const order of ['asc', 'desc']) {
    for (const limit of [1, 2, 4, 5, 6]) {
      const seen: any[] = [];
      let after = '';
      for (;;) {
        const page = await messagesOf(id, `?order=${order}&limit=${limit}${after}`);
        assert.equal(page.first_id, page.data[0].id);
        assert.equal(page.last_id, page.data.at(-1).id);
        seen.push(...page.data);
        assert.equal(page.has_more, seen.length < all.length);
        if (!page.has_more) break;
        assert.equal(page.data.length, limit);
        after = `&after=${page.last_id}`;
      }
      assert.deepEqual(seen, order === 'asc' ? all : all.toReversed(), `${order} by ${limit}`);
    }
  }
  const beyond = await messagesOf(id, `?after=${all.at(-1).id}`);
  assert.deepEqual(beyond, { object: 'list', data: [], first_id: null, last_id: null, has_more: false });
});

test('a cursor stays where it is while the conversation goes on', async () => {
  const id = await server.newSession();
  await server.converse(id, 'a', 'b');
  const newest = await messagesOf(id, '?order=desc&limit=1');
  const oldest = await messagesOf(id, '?limit=3');
  await server.converse(id, 'c');
  const older = await messagesOf(id, `?order=desc&after=${newest.last_id}`);
  assert.deepEqual(
    older.data.map((message: any) => message.content),
    ['b', 'You said: a', 'a'],
  );
  const newer = await messagesOf(id, `?after=${oldest.last_id}`);
  assert.deepEqual(
    newer.data.map((message: any) => message.content),
    ['You said: b', 'c', 'You said: c'],
  );
});

test('a cursor that is not in the conversation is refused', async () => {
  const id = await server.newSession();
  const other = await server.newSession();
  await server.converse(id, 'a');
  const { message } = await server.converse(other, 'b');
  for (const after of [message.id, 'msg_nothing', '%00', "'"]) {
    const { status, body } = await server.call('GET', `/sessions/${id}/messages?after=${after}`);
    assert.equal(status, 400);
    assert.equal(body.error.code, 'invalid_cursor');
  }
});

test('a wrong message is refused with all of its problems, and the provider hears nothing', async () => {
  const id = await server.newSession();
  const wrong: [object, ...string[]][] = [
    [{}, ''],
    [{ content: 5 }, '/content'],
    [{ content: null }, '/content'],
    [{ content: [] }, '/content'],
    [{ content: [{ type: 'text' }] }, '/content'],
    [{ content: [{ type: 'audio', audio: {} }] }, '/content'],
    [{ content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }, '/content'],
    [{ content: [{ type: 'file', file: {} }] }, '/content'],
    [{ content: 'x', colour: 'red', stream: 'yes', role: 'king' }, '/colour', '/stream', '/role'],
    [{ content: 'x', role: 'assistant' }, '/role'],
    [{ content: 'x', options: [] }, '/options'],
    [{ content: 'x', memory_limit: 0 }, '/memory_limit'],
    [{ content: 'x', memory_limit: 1.5 }, '/memory_limit'],
    [{ content: 'x', metadata: { k: 1 }, model: '' }, '/metadata/k', '/model'],
    [{ content: 'x', role: 'tool' }, '/tool_call_id'],
    [{ content: 'x', tool_call_id: 'call_1' }, '/tool_call_id'],
  ];
  for (const [body, ...places] of wrong) {
    const answer = await server.call('POST', `/sessions/${id}/messages`, body);
    assert.equal(answer.status, 400, JSON.stringify(body));
    assert.equal(answer.body.error.code, 'invalid_request');
    const { problems } = answer.body.error.details;
    for (const place of places) {
      assert.ok(
        problems.some((problem: any) => problem.in === 'body' && problem.path.startsWith(place)),
        `${JSON.stringify(body)}: ${place} is not in ${JSON.stringify(problems)}`,
      );
    }
  }
  assert.equal(server.double.requests.length, 0);
  assert.deepEqual((await messagesOf(id)).data, []);
  assert.deepEqual((await server.call('GET', `/sessions/${id}/turns`)).body.data, []);
});
