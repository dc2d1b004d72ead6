/** The window over HTTP: what the provider is really shown of a long conversation, and what `GET /window` says. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const MEMORY_DEFAULT = 6;
const MEMORY_MAX = 40;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({
    MEMORY_DEFAULT: String(MEMORY_DEFAULT),
    MEMORY_MAX: String(MEMORY_MAX),
  });
});
beforeEach(() => server.double.reset());
after(() => server.close());

type Said = { role: string; content: unknown };

/** What the last request to the provider showed. */
const prompt = (): readonly Said[] => server.double.last.body.messages;
const contents = (messages: readonly Said[]) => messages.map(({ content }) => content);

async function windowOf(id: string): Promise<any> {
  const { status, body } = await server.call('GET', `/sessions/${id}/window`);
  assert.equal(status, 200);
  return body;
}

async function fill(id: string, turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await server.converse(id, `q${turn}`);
}

test('the memory limit is the request’s, else the session’s, else MEMORY_DEFAULT', async () => {
  const id = await server.newSession();
  await fill(id, 8);
  // Six places: five of the past would cut a turn in two, so two whole turns and the new message.
  assert.deepEqual(contents(prompt()), ['q5', 'You said: q5', 'q6', 'You said: q6', 'q7']);
  await server.call('PATCH', `/sessions/${id}`, { memory_limit: 3 });
  await server.converse(id, 'q8');
  assert.deepEqual(contents(prompt()), ['q7', 'You said: q7', 'q8']);
  await server.send(id, 'q9', { memory_limit: 5 });
  assert.deepEqual(contents(prompt()), ['q7', 'You said: q7', 'q8', 'You said: q8', 'q9']);
  await server.send(id, 'q10', { memory_limit: 1 });
  assert.deepEqual(contents(prompt()), ['q10']);
  await server.converse(id, 'q11');
  assert.deepEqual(contents(prompt()), ['q10', 'You said: q10', 'q11'], 'a request’s limit is its own');
  await server.call('PATCH', `/sessions/${id}`, { memory_limit: null });
  await server.converse(id, 'q12');
  assert.equal(prompt().length, 5);
});

test('nothing is deleted: a larger limit brings back what a smaller one left out', async () => {
  const id = await server.newSession({ memory_limit: 1 });
  await fill(id, 6);
  assert.deepEqual(contents(prompt()), ['q5']);
  await server.send(id, 'q6', { memory_limit: MEMORY_MAX });
  assert.equal(prompt().length, 13);
  const { body } = await server.call('GET', `/sessions/${id}/messages?limit=100`);
  assert.equal(body.data.length, 14);
});

test('MEMORY_MAX bounds what sessions and requests may ask for', async () => {
  const id = await server.newSession({ memory_limit: MEMORY_MAX });
  const beyond = { memory_limit: MEMORY_MAX + 1 };
  for (const answer of [
    await server.call('POST', '/sessions', beyond),
    await server.call('PATCH', `/sessions/${id}`, beyond),
    await server.send(id, 'x', beyond),
  ]) {
    assert.equal(answer.status, 400);
    assert.equal(answer.body.error.details.problems[0].path, '/memory_limit');
  }
  assert.equal((await server.send(id, 'x', { memory_limit: MEMORY_MAX })).status, 200);
});

for (const { limit, step } of [
  { limit: 16, step: 4 },
  { limit: 20, step: 5 },
  { limit: 40, step: 10 },
]) {
  test(`from 16 on the window of ${limit} moves in steps, and the prompt’s prefix stays in between`, async () => {
    const id = await server.newSession({ memory_limit: limit, instructions: 'Be brief.' });
    await fill(id, 60);
    const prompts = server.double.requests.map(({ body }) => body.messages);
    assert.equal(prompts.length, 60);
    let moves = 0;
    for (const [turn, messages] of prompts.entries()) {
      const [instructions, ...seen] = messages;
      assert.deepEqual(instructions, { role: 'system', content: 'Be brief.' });
      assert.ok(seen.length <= limit, `turn ${turn} shows ${seen.length} messages`);
      assert.equal(seen.at(-1)?.content, `q${turn}`);
      assert.match(String(seen[0]?.content), /^q/, 'cut between turns');
      if (2 * turn + 1 <= limit) assert.equal(seen.length, 2 * turn + 1, 'all while it fits');
      else assert.ok(seen.length > limit - step - 2, `turn ${turn} shows only ${seen.length} messages`);
      const before = prompts[turn - 1];
      if (before === undefined) continue;
      if (messages[1]?.content === before[1]?.content) {
        assert.deepEqual(messages.slice(0, before.length), before, `turn ${turn} keeps the prefix`);
      } else {
        moves += 1;
      }
    }
    const leftOut = 120 - limit;
    assert.ok(moves <= Math.ceil(leftOut / step) + 1, `the start moved ${moves} times`);
    assert.ok(moves >= leftOut / step - 2, `the start moved ${moves} times`);
  });
}

test('max_context_tokens cuts between turns and keeps the instructions', async () => {
  const instructions = 'Always answer in French, whatever the language of the question.';
  const id = await server.newSession({ memory_limit: MEMORY_MAX, max_context_tokens: 400, instructions });
  const words = 'the quick brown fox jumps over the lazy dog and on ';
  for (let turn = 0; turn < 12; turn += 1) {
    await server.converse(id, `q${turn} ${words.repeat(2)}`);
    const [first, ...seen] = prompt();
    assert.deepEqual(first, { role: 'system', content: instructions });
    assert.match(String(seen[0]?.content), /^q/, 'cut between turns');
    assert.ok(String(seen.at(-1)?.content).startsWith(`q${turn} `));
    // English has more than four characters to a token; half of that leaves room for the estimate.
    const characters = contents(prompt()).join('').length;
    assert.ok(characters <= 400 * 5.5, `${characters} characters in turn ${turn}`);
  }
  assert.ok(prompt().length < 25, 'something was left out');
  assert.ok(prompt().length > 5, 'and something kept');

  const window = await windowOf(id);
  assert.equal(window.left_out.reason, 'max_context_tokens');
  assert.equal(window.max_context_tokens, 400);
  assert.ok(window.estimated_tokens <= 400);
  assert.equal(window.left_out.messages + window.messages.length, 24);

  await server.call('PATCH', `/sessions/${id}`, { max_context_tokens: 1 });
  await server.converse(id, 'alone');
  assert.deepEqual(contents(prompt()), [instructions, 'alone']);
});

test('GET window is what the next request shows, whatever the limits', async () => {
  for (const settings of [
    {},
    { memory_limit: 1 },
    { memory_limit: 2 },
    { memory_limit: 5 },
    { memory_limit: 17 },
    { memory_limit: 16, max_context_tokens: 60, instructions: 'Be brief.' },
    { memory_limit: MEMORY_MAX, max_context_tokens: 300 },
  ]) {
    const id = await server.newSession(settings);
    for (let turn = 0; turn < 22; turn += 1) {
      const window = await windowOf(id);
      await server.converse(id, `q${turn}`);
      const shown = prompt().filter(({ role }) => role !== 'system');
      assert.deepEqual(
        window.messages.map(({ role, content }: Said) => ({ role, content })),
        shown.slice(0, -1),
        `turn ${turn} of ${JSON.stringify(settings)}`,
      );
      assert.equal(window.left_out.messages, 2 * turn - window.messages.length);
      assert.equal(window.left_out.reason === null, window.left_out.messages === 0);
    }
  }
});

test('GET window names the limits that hold, and which of them left something out', async () => {
  const id = await server.newSession();
  assert.deepEqual(await windowOf(id), {
    object: 'window',
    session_id: id,
    instructions: null,
    messages: [],
    memory_limit: MEMORY_DEFAULT,
    max_context_tokens: null,
    estimated_tokens: null,
    left_out: { messages: 0, reason: null },
  });
  await server.call('PATCH', `/sessions/${id}`, { memory_limit: 3, instructions: 'Be brief.' });
  await fill(id, 3);
  const window = await windowOf(id);
  assert.equal(window.memory_limit, 3);
  assert.equal(window.instructions, 'Be brief.');
  assert.deepEqual(contents(window.messages), ['q2', 'You said: q2']);
  assert.deepEqual(window.left_out, { messages: 4, reason: 'memory_limit' });
});

test('the history of an answer is what the model saw, and the answer', async () => {
  const id = await server.newSession({ memory_limit: 4 });
  await fill(id, 5);
  const answer = await server.converse(id, 'last');
  assert.deepEqual(
    answer.history.slice(0, -1).map(({ role, content }: Said) => ({ role, content })),
    prompt(),
  );
  assert.deepEqual(answer.history.at(-1), answer.message);
});
