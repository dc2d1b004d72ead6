/** A hundred clients at one session: each is answered as `on_busy` says, and the conversation stays one. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { beforeEach, test } from 'node:test';
import type { Answer } from '../acceptance/client.ts';
import { createGate, type ParleysWithDouble } from '../acceptance/parley-with-double.ts';
import { readList } from '../crash/shown-session.ts';
import { onEveryStore } from './on-every-store.ts';

const CLIENTS = 100;

let server: ParleysWithDouble;
onEveryStore(
  {
    SESSION_QUEUE_MAX: String(2 * CLIENTS),
    MEMORY_DEFAULT: String(3 * CLIENTS),
    LOG_LEVEL: 'warn',
  },
  (started) => {
    server = started;
  },
  races,
);

const texts = Array.from({ length: CLIENTS }, (_, index) => `message ${index}`);

/** The conversation as pairs; fails where a question is not followed by the answer of its own turn. */
async function pairs(sessionId: string): Promise<{ turnId: string; question: string; answer: string }[]> {
  const messages = await readList(server.url, `/sessions/${sessionId}/messages?order=asc`);
  assert.equal(messages.length % 2, 0);
  return Array.from({ length: messages.length / 2 }, (_, index) => {
    const [question, answer] = messages.slice(2 * index, 2 * index + 2);
    assert.deepEqual([question.role, answer.role], ['user', 'assistant']);
    assert.equal(answer.turn_id, question.turn_id);
    return { turnId: question.turn_id, question: question.content, answer: answer.content };
  });
}

function turnsOf(sessionId: string): Promise<any[]> {
  return readList(server.url, `/sessions/${sessionId}/turns?order=asc`);
}

/** Each turn that is part of the conversation follows the one before it. */
function assertOnePath(turns: readonly any[], joined: readonly string[]): void {
  const onPath = turns.filter(({ id }) => joined.includes(id));
  assert.deepEqual(
    onPath.map(({ id }) => id),
    joined,
    'the conversation has its turns in the order of their beginning',
  );
  assert.deepEqual(
    onPath.map(({ parent_turn_id }) => parent_turn_id),
    [null, ...joined.slice(0, -1)],
  );
}

function withStatus(answers: readonly Answer[], status: number): Answer[] {
  return answers.filter((answer) => answer.status === status);
}

/** Before its first words a turn is answered with a status; after them its stream ends with the error. */
function isCancelled({ status, body }: Answer): boolean {
  if (status === 409) return body.error.code === 'turn_cancelled';
  return typeof body === 'string' && /event: turn\.failed\ndata: .*"turn_cancelled"/.test(body);
}

function races(isShared: boolean): void {
  beforeEach(() => server.double.reset());

  test('queue: all are answered, one after another, each seeing all before it', async () => {
    const id = await server.newSession();
    const half = CLIENTS / 2;
    // The second half comes while the first is being answered, each when one of the first has its answer.
    const first = texts.slice(0, half).map((text) => server.send(id, text, { on_busy: 'queue' }));
    const second = first.map(async (earlier, index) => {
      await earlier;
      return server.send(id, texts[half + index]);
    });
    const answers = await Promise.all([...first, ...second]);
    for (const [index, { status, body }] of answers.entries()) {
      assert.equal(status, 200);
      assert.equal(body.message.content, `You said: ${texts[index]}`);
    }

    const conversation = await pairs(id);
    const asked = conversation.map(({ question }) => question);
    assert.deepEqual(asked.toSorted(), texts.toSorted(), 'every message is there once');
    for (const { question, answer } of conversation) assert.equal(answer, `You said: ${question}`);
    for (const index of first.keys()) {
      const [earlier, later] = [asked.indexOf(texts[index]!), asked.indexOf(texts[half + index]!)];
      assert.ok(earlier < later, 'who was answered before another spoke stands before it');
    }
    assert.deepEqual(
      server.double.requests.map(({ body }) => body.messages.length),
      texts.map((_, index) => 2 * index + 1),
    );
    const turns = await turnsOf(id);
    assert.equal(turns.length, CLIENTS);
    assertOnePath(
      turns,
      conversation.map(({ turnId }) => turnId),
    );
  });

  test('queue: messages are answered in the order of their arrival', async () => {
    const id = await server.newSession();
    // One connection has an order; the answers come on it one after another, and the last one ends it.
    const requests = texts.map((content, index) => {
      const body = JSON.stringify({ content });
      const last = index === texts.length - 1 ? 'Connection: close\r\n' : '';
      const head = `POST /sessions/${id}/messages HTTP/1.1\r\nHost: parley.test\r\n${last}`;
      return `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    });
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(requests.join(''));
    await once(socket.resume(), 'close');
    assert.deepEqual(
      (await pairs(id)).map(({ question }) => question),
      texts,
    );
  });

  test('reject: one is answered while it runs, all others are refused and leave nothing', async () => {
    const id = await server.newSession();
    const gate = createGate();
    server.double.respond({ text: 'the answer', waitBefore: gate.opened });
    let refused = 0;
    // The winner is held at the provider until everybody else was refused, so that there can be one alone.
    const answers = await Promise.all(
      texts.map(async (text) => {
        const answer = await server.send(id, text, { on_busy: 'reject' });
        if (answer.status === 409) refused += 1;
        if (refused === CLIENTS - 1) gate.open();
        return answer;
      }),
    );

    const [winner, ...more] = withStatus(answers, 200);
    assert.deepEqual(more, []);
    for (const { headers, body } of withStatus(answers, 409)) {
      assert.equal(body.error.code, 'session_busy');
      assert.equal(headers.get('x-should-retry'), 'false');
    }
    assert.equal(withStatus(answers, 409).length, CLIENTS - 1);
    assert.equal(server.double.requests.length, 1);
    assert.deepEqual(
      (await turnsOf(id)).map(({ id }) => id),
      [winner?.body.turn_id],
    );
    assert.equal((await pairs(id)).length, 1);
    // Nobody has to wait for what was refused.
    assert.equal((await server.send(id, 'after all', { on_busy: 'reject' })).status, 200);
  });

  test('reject: while turns come and go, each message is answered or refused, and never both', async () => {
    const id = await server.newSession();
    const answers = await Promise.all(texts.map((text) => server.send(id, text, { on_busy: 'reject' })));
    const answered = withStatus(answers, 200).map(({ body }) => body.turn_id);
    assert.ok(answered.length > 0);
    assert.equal(answered.length + withStatus(answers, 409).length, CLIENTS);
    const turns = await turnsOf(id);
    assert.equal(turns.length, answered.length);
    assert.deepEqual(new Set(turns.map(({ id }) => id)), new Set(answered));
    const conversation = await pairs(id);
    for (const { question, answer } of conversation) assert.equal(answer, `You said: ${question}`);
    assertOnePath(
      turns,
      conversation.map(({ turnId }) => turnId),
    );
  });

  test('interrupt: the last one wins; of the others stays what they had been told, or nothing', async () => {
    const id = await server.newSession();
    const gate = createGate();
    server.double.respond(({ body }) => ({
      text: [`Partly ${String(body.messages.at(-1)?.content)}`, ', and wholly'],
      // The second piece of text is the third of the stream; what is not streamed is held as a whole.
      ...(body.stream ? { waitAt: { piece: 2, wait: gate.opened } } : { waitBefore: gate.opened }),
    }));
    const [first = '', last = '', ...others] = texts;
    // Its first words have been heard when the others come.
    const heard = await fetch(`${server.url}/sessions/${id}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ content: first, stream: true }),
    });
    let cancelled = 0;
    const { promise: allButOne, resolve } = Promise.withResolvers<void>();
    const sendAll = others.map(async (text, index) => {
      // Streams are cut in the middle of their text, the others before anybody heard of it.
      const answer = await server.call('POST', `/sessions/${id}/messages`, {
        content: text,
        on_busy: 'interrupt',
        stream: index % 2 === 0,
      });
      if (isCancelled(answer) && (cancelled += 1) === others.length - 1) resolve();
      return answer;
    });
    await allButOne;
    // Only one is left, and runs: who comes now is the last.
    const winner = server.send(id, last, { on_busy: 'interrupt' });
    const { status: opened, headers } = heard;
    const cut = [{ status: opened, headers, body: await heard.text() }, ...(await Promise.all(sendAll))];
    for (const answer of cut) assert.ok(isCancelled(answer), JSON.stringify(answer.body));
    for (const { headers } of withStatus(cut, 409)) assert.equal(headers.get('x-should-retry'), 'false');
    gate.open();
    const { status, body } = await winner;
    assert.equal(status, 200);
    assert.equal(body.message.content, `Partly ${last}, and wholly`);

    const turns = await turnsOf(id);
    // One that is cancelled while it waits for a turn of another server has not begun.
    assert.ok(isShared ? turns.length <= CLIENTS : turns.length === CLIENTS);
    assert.deepEqual([turns.at(-1).id, turns.at(-1).status], [body.turn_id, 'completed']);
    for (const turn of turns.slice(0, -1)) {
      assert.deepEqual([turn.status, turn.error.code], ['cancelled', 'turn_cancelled']);
      for (const item of turn.output) assert.deepEqual([item.type, item.status], ['message', 'incomplete']);
    }
    const conversation = await pairs(id);
    const withText = turns.filter(({ output }) => output.length > 0);
    assert.deepEqual(
      conversation.map(({ turnId }) => turnId),
      withText.map(({ id }) => id),
    );
    assert.deepEqual([conversation[0]?.question, conversation.at(-1)?.question], [first, last]);
    for (const { question, answer } of conversation.slice(0, -1)) assert.equal(answer, `Partly ${question}`);
    assertOnePath(
      turns,
      conversation.map(({ turnId }) => turnId),
    );
  });

  test('all three at once: every client gets the answer to its own message, or one honest refusal', async () => {
    const id = await server.newSession();
    const ways = ['queue', 'reject', 'interrupt'];
    const answers = await Promise.all(
      texts.map((text, index) => server.send(id, text, { on_busy: ways[index % ways.length] })),
    );
    const turns = await turnsOf(id);
    const byId = new Map(turns.map((turn) => [turn.id, turn]));
    for (const [index, { status, body }] of answers.entries()) {
      if (status === 200) {
        assert.equal(body.message.content, `You said: ${texts[index]}`);
        assert.equal(byId.get(body.turn_id)?.status, 'completed');
      } else {
        assert.equal(status, 409);
        const refused = index % ways.length === ways.indexOf('reject') ? 'session_busy' : 'turn_cancelled';
        // Who would not wait can be interrupted as well, if it was let in.
        assert.ok([refused, 'turn_cancelled'].includes(body.error.code), body.error.code);
      }
    }
    const completed = turns.filter(({ status }) => status === 'completed');
    assert.equal(completed.length, withStatus(answers, 200).length);
    const conversation = await pairs(id);
    for (const { turnId, question, answer } of conversation) {
      const whole = `You said: ${question}`;
      if (byId.get(turnId)?.status === 'completed') assert.equal(answer, whole);
      else
        assert.ok(
          answer !== '' && whole.startsWith(answer),
          `"${answer}" is not the beginning of "${whole}"`,
        );
    }
    assertOnePath(
      turns,
      conversation.map(({ turnId }) => turnId),
    );
  });
}
