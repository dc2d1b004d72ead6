/** Turns over HTTP: listed and read with all that led to their end, and failed ones kept out of the conversation. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { providerErrorMessage } from '../provider-double-script.ts';
import { stream } from './client.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

async function get(path: string): Promise<any> {
  const { status, body } = await server.call('GET', path);
  assert.equal(status, 200);
  return body;
}

test('a turn keeps its input, output, provider, usage, attempts and times', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ reasoning: 'Hm.', text: 'Four.' });
  const answer = await server.converse(id, '2 + 2?');
  const turn = await get(`/sessions/${id}/turns/${answer.turn_id}`);
  assert.equal(turn.object, 'turn');
  assert.equal(turn.id, answer.turn_id);
  assert.equal(turn.session_id, id);
  assert.equal(turn.parent_turn_id, null);
  assert.equal(turn.status, 'completed');
  assert.equal(turn.error, null);
  assert.equal(turn.finish_reason, 'stop');
  assert.equal(turn.provider, 'openai');
  assert.equal(turn.provider_source, 'default');
  assert.equal(turn.model, 'double-model');
  assert.deepEqual(turn.usage, answer.usage);
  assert.deepEqual(turn.attempts, answer.attempts);
  assert.ok(turn.created_at <= turn.completed_at);

  const [input] = turn.input;
  assert.deepEqual(
    { ...input, id: '' },
    {
      type: 'message',
      id: '',
      role: 'user',
      status: 'completed',
      content: [{ type: 'input_text', text: '2 + 2?' }],
    },
  );
  const [reasoning, message] = turn.output;
  assert.equal(reasoning.type, 'reasoning');
  assert.deepEqual(reasoning.content, [{ type: 'reasoning_text', text: 'Hm.' }]);
  assert.equal(message.type, 'message');
  assert.equal(message.status, 'completed');
  assert.deepEqual(message.content, [{ type: 'output_text', text: 'Four.', annotations: [], logprobs: [] }]);
});

test('turns follow one another, the head is the last, and they are listed by pages', async () => {
  const id = await server.newSession();
  const made: string[] = [];
  for (const text of ['a', 'b', 'c', 'd', 'e']) made.push((await server.converse(id, text)).turn_id);
  const { data } = await get(`/sessions/${id}/turns`);
  assert.deepEqual(
    data.map((turn: any) => [turn.id, turn.parent_turn_id]),
    made.map((turnId, index) => [turnId, made[index - 1] ?? null]),
  );
  assert.equal((await get(`/sessions/${id}`)).head_turn_id, made.at(-1));

  for (const order of ['asc', 'desc']) {
    const seen: string[] = [];
    for (let after = ''; ; after = `&after=${seen.at(-1)}`) {
      const page = await get(`/sessions/${id}/turns?limit=2&order=${order}${after}`);
      seen.push(...page.data.map((turn: any) => turn.id));
      assert.deepEqual([page.first_id, page.last_id], [page.data[0].id, page.data.at(-1).id]);
      assert.equal(page.has_more, seen.length < made.length);
      if (!page.has_more) break;
    }
    assert.deepEqual(seen, order === 'asc' ? made : made.toReversed());
  }
});

test('a failed turn keeps its error and attempts, and is not part of the conversation', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'one');
  server.double.respondOnce({ status: 404 });
  const failed = await server.send(id, 'lost');
  assert.equal(failed.status, 502);
  assert.equal(failed.body.error.code, 'provider_error');
  const { turn_id: turnId, attempts } = failed.body.error.details;
  assert.equal(attempts.length, 1);
  assert.deepEqual(
    [attempts[0].provider, attempts[0].status, attempts[0].error],
    ['openai', 'failed', { kind: 'model_not_found', http_status: 404 }],
  );
  assert.ok(!JSON.stringify(failed.body).includes(providerErrorMessage), 'nothing of what the provider said');

  const turn = await get(`/sessions/${id}/turns/${turnId}`);
  assert.equal(turn.status, 'failed');
  assert.equal(turn.error.code, 'provider_error');
  assert.deepEqual(turn.attempts, attempts);
  assert.equal(turn.parent_turn_id, first.turn_id);
  assert.equal(turn.input[0].content[0].text, 'lost');
  assert.deepEqual(turn.output, []);
  assert.notEqual(turn.completed_at, null);

  assert.equal((await get(`/sessions/${id}`)).head_turn_id, first.turn_id);
  const { data: messages } = await get(`/sessions/${id}/messages`);
  assert.deepEqual(
    messages.map((message: any) => message.content),
    ['one', 'You said: one'],
  );
  assert.equal((await get(`/sessions/${id}/window`)).messages.length, 2);

  const next = await server.converse(id, 'two');
  assert.deepEqual(
    server.double.last.body.messages.map((message) => message.content),
    ['one', 'You said: one', 'two'],
  );
  const { data: turns } = await get(`/sessions/${id}/turns`);
  assert.deepEqual(
    turns.map((one: any) => [one.status, one.parent_turn_id]),
    [
      ['completed', null],
      ['failed', first.turn_id],
      ['completed', first.turn_id],
    ],
  );
  assert.equal(turns[2].id, next.turn_id);
});

test('a first turn that fails leaves an empty session', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ status: 404 });
  assert.equal((await server.send(id, 'lost')).status, 502);
  assert.equal((await get(`/sessions/${id}`)).head_turn_id, null);
  assert.deepEqual((await get(`/sessions/${id}/messages`)).data, []);
  await server.converse(id, 'one');
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content: 'one' }]);
});

test('a turn that is cut off keeps its partial output, outside of the conversation', async () => {
  const id = await server.newSession();
  server.double.respondOnce({
    text: ['It was ', 'a dark ', 'and stormy night'],
    error: { message: 'overloaded', code: 'server_error' },
  });
  const { events } = await stream(server.url, id, 'Tell');
  const last = events.at(-1);
  assert.equal(last?.event, 'turn.failed');
  assert.equal(last?.data.error.code, 'provider_error');
  const turn = await get(`/sessions/${id}/turns/${last?.data.error.details.turn_id}`);
  assert.equal(turn.status, 'failed');
  assert.equal(turn.output.length, 1);
  assert.equal(turn.output[0].status, 'incomplete');
  assert.equal(turn.output[0].content[0].text, 'It was a dark and stormy night');
  assert.equal(turn.attempts[0].error.kind, 'interrupted');
  assert.notEqual(turn.attempts[0].first_token_ms, null);

  await server.converse(id, 'Again');
  assert.deepEqual(server.double.last.body.messages, [{ role: 'user', content: 'Again' }]);
});

test('an answer that reached its length is incomplete, says so, and is part of the conversation', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ text: 'Once upon', finishReason: 'length' });
  const answer = await server.converse(id, 'Tell');
  assert.deepEqual([answer.status, answer.finish_reason], ['incomplete', 'length']);
  const turn = await get(`/sessions/${id}/turns/${answer.turn_id}`);
  assert.deepEqual([turn.status, turn.output[0].status], ['incomplete', 'incomplete']);
  await server.converse(id, 'Go on');
  assert.equal(server.double.last.body.messages[1]?.content, 'Once upon');
});

test("the caller's own errors come back as 400, with the provider's words", async () => {
  const id = await server.newSession();
  for (const [status, error, code] of [
    [400, { message: 'bad temperature' }, 'provider_rejected_request'],
    [422, { message: 'bad temperature' }, 'provider_rejected_request'],
    [400, { message: 'too long', code: 'context_length_exceeded' }, 'context_length_exceeded'],
    [400, { message: 'no', code: 'content_policy_violation' }, 'content_filtered'],
  ] as const) {
    server.double.respondOnce({ status, error });
    const answer = await server.send(id, 'x');
    assert.equal(answer.status, 400);
    assert.equal(answer.body.error.code, code);
    assert.equal(answer.body.error.details.provider_message, error.message);
    assert.equal(answer.body.error.details.attempts.length, 1);
  }
});

test('a turn is found in its own session alone', async () => {
  const id = await server.newSession();
  const { turn_id: turnId } = await server.converse(id, 'one');
  const other = await server.newSession();
  for (const [session, turn, code] of [
    [other, turnId, 'turn_not_found'],
    [id, other, 'turn_not_found'],
    [id, 'x', 'turn_not_found'],
    [id, '%00', 'turn_not_found'],
    ['x', turnId, 'session_not_found'],
    [turnId, turnId, 'session_not_found'],
  ]) {
    const { status, body } = await server.call('GET', `/sessions/${session}/turns/${turn}`);
    assert.deepEqual([status, body.error.code], [404, code]);
  }
});

test('a failed attempt keeps what the provider said it used', async () => {
  const id = await server.newSession();
  const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
  const piece = { choices: [{ index: 0, delta: { content: 'Once' }, finish_reason: null }], usage };
  server.double.respondOnce({ raw: [`data: ${JSON.stringify(piece)}\n\n`], cut: { afterBytes: 10_000 } });
  const { events } = await stream(server.url, id, 'Tell me.');
  assert.equal(events.at(-1)?.event, 'turn.failed');
  const { data: turns } = await get(`/sessions/${id}/turns`);
  const [attempt] = turns[0].attempts;
  assert.deepEqual([attempt.status, attempt.error.kind], ['failed', 'interrupted']);
  assert.deepEqual([attempt.usage.input_tokens, attempt.usage.output_tokens], [5, 2]);
  assert.equal(turns[0].usage, null);
});
