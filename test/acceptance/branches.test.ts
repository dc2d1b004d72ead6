/** Conversations that branch: a message follows the turn it names. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const asked = () => server.double.last.body.messages.map(({ content }) => content);

async function textsOf(id: string): Promise<string[]> {
  const { body } = await server.call('GET', `/sessions/${id}/messages`);
  return body.data.map(({ content }: { content: string }) => content);
}

test('a message follows the turn that it names, and its branch is then the conversation', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'a');
  const second = await server.converse(id, 'b');
  const { status, body } = await server.send(id, 'c', { parent_turn_id: first.turn_id });
  assert.equal(status, 200);
  assert.deepEqual(asked(), ['a', 'You said: a', 'c']);
  assert.deepEqual(await textsOf(id), ['a', 'You said: a', 'c', 'You said: c']);
  const { body: turn } = await server.call('GET', `/sessions/${id}/turns/${body.turn_id}`);
  assert.equal(turn.parent_turn_id, first.turn_id);
  assert.equal((await server.call('GET', `/sessions/${id}`)).body.head_turn_id, body.turn_id);

  // The other branch is there still, and can be taken up again.
  await server.send(id, 'd', { parent_turn_id: second.turn_id });
  assert.deepEqual(asked(), ['a', 'You said: a', 'b', 'You said: b', 'd']);
  await server.converse(id, 'e');
  assert.deepEqual(asked().slice(-3), ['d', 'You said: d', 'e']);
  assert.equal((await server.call('GET', `/sessions/${id}/turns`)).body.data.length, 5);
});

test('null starts the conversation again, in a session that keeps its settings', async () => {
  const id = await server.newSession({ instructions: 'Be brief.' });
  await server.converse(id, 'a', 'b');
  const { body } = await server.send(id, 'c', { parent_turn_id: null });
  assert.deepEqual(asked(), ['Be brief.', 'c']);
  assert.deepEqual(await textsOf(id), ['c', 'You said: c']);
  const { body: turn } = await server.call('GET', `/sessions/${id}/turns/${body.turn_id}`);
  assert.equal(turn.parent_turn_id, null);
});

test('many branches of one turn do not see one another', async () => {
  const id = await server.newSession();
  const { turn_id: parent } = await server.converse(id, 'a');
  for (const text of ['b', 'c', 'd']) {
    const { body } = await server.send(id, text, { parent_turn_id: parent });
    assert.deepEqual(
      body.history.map(({ content }: { content: string }) => content),
      ['a', 'You said: a', text, `You said: ${text}`],
    );
  }
});

test('a branch that fails leaves the conversation where it was', async () => {
  const id = await server.newSession();
  const first = await server.converse(id, 'a');
  await server.converse(id, 'b');
  server.double.respondOnce({ status: 400 });
  assert.equal((await server.send(id, 'c', { parent_turn_id: first.turn_id })).status, 400);
  assert.deepEqual(await textsOf(id), ['a', 'You said: a', 'b', 'You said: b']);
});

test('what cannot be followed', async () => {
  const id = await server.newSession();
  server.double.respondOnce({ status: 400 });
  const failed = await server.send(id, 'a');
  const other = await server.newSession();
  const { turn_id: elsewhere } = await server.converse(other, 'a');
  const asked = server.double.requests.length;
  for (const [parent, status, code] of [
    [failed.body.error.details.turn_id, 400, 'parent_not_usable'],
    [elsewhere, 404, 'turn_not_found'],
    [id, 404, 'turn_not_found'],
    ['x', 400, 'invalid_request'],
    [1, 400, 'invalid_request'],
  ]) {
    const answer = await server.send(id, 'b', { parent_turn_id: parent });
    assert.deepEqual([answer.status, answer.body.error.code], [status, code]);
  }
  assert.equal(server.double.requests.length, asked);
});
