/** What needs small times or a look inside: silence, heartbeats, and what a client leaves behind. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import type { EndedTurn } from '../conversation/event.ts';
import type { Turn } from '../conversation/turn.ts';
import { createTurnLog, type LiveTurn } from '../turns/live-turn.ts';
import type { Turns } from '../turns/turns.ts';
import { createApp } from './app.ts';
import type { StreamTimes } from './sse.ts';

const NEVER = 2 ** 31 - 1;
const NEVER_TIMES = { silenceMilliseconds: NEVER, heartbeatMilliseconds: NEVER };

const turn: Turn = {
  id: '00000000-0000-4000-8000-000000000001',
  sessionId: '00000000-0000-4000-8000-000000000002',
  parentId: null,
  status: 'in_progress',
  input: [],
  output: [],
  provider: 'p',
  model: 'm',
  providerSource: 'default',
  finishReason: null,
  attempts: [],
  usage: null,
  error: null,
  seenPlaces: 0,
  trace: null,
  createdAt: 0,
  completedAt: null,
};

const ended = (change: Partial<Turn>): EndedTurn => ({
  turn: { ...turn, completedAt: 1, ...change },
  seen: [],
});

/** A server whose one turn is in the test's hands. Tells how many read it. */
async function serveTurn(context: TestContext, streamTimes: StreamTimes, logBytes = 1_000_000) {
  const live = createTurnLog(turn.id, logBytes, new Promise(() => undefined));
  live.append({ type: 'turn.started', turn });
  let readers = 0;
  let changed = Promise.withResolvers<void>();
  const count = (by: number) => {
    readers += by;
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const watched: LiveTurn = {
    ...live,
    follow: (after, wake) => {
      const follower = live.follow(after, wake);
      count(1);
      return {
        next: follower.next,
        get over() {
          return follower.over;
        },
        close: () => {
          follower.close();
          count(-1);
        },
      };
    },
  };
  const unused = new Proxy({}, { get: () => assert.fail('not part of this test') });
  const { api: app } = await createApp({
    gate: async () => undefined,
    trustProxy: false,
    reception: { requestMilliseconds: 60_000, connectionsMax: 100 },
    corsOrigins: [],
    adminApart: false,
    admin: { token: null } as never,
    sessions: unused as never,
    turns: {
      ...(unused as Turns),
      start: async () => ({ live: watched, replayed: false, queuedMilliseconds: 0 }),
      find: async () => watched,
    },
    providers: { default: { name: 'none', models: [] }, all: [] } as never,
    readiness: unused as never,
    toolboxes: unused as never,
    routes: [],
    idempotencySeconds: 1,
    metrics: null,
    beginTrace: null,
    version: '0.0.0',
    log: pino({ level: 'silent' }),
    streamTimes,
  });
  const gone = Promise.withResolvers<void>();
  app.server.on('connection', (socket) => socket.once('close', () => gone.resolve()));
  await app.listen({ port: 0, host: '127.0.0.1' });
  context.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/sessions/${turn.sessionId}`;
  const open = () => {
    const sent = request(`${url}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      agent: false,
    });
    sent.end(JSON.stringify({ content: 'Hello', stream: true }));
    return sent;
  };
  const follow = (query = '', headers: Record<string, string> = {}) =>
    request(`${url}/turns/${turn.id}/events${query}`, { headers, agent: false }).end();
  return {
    url,
    live,
    open,
    follow,
    /** Resolves when the server has seen a client leave. */
    gone: gone.promise,
    answer: async () => {
      const [response] = await once(open(), 'response');
      return response.setEncoding('utf8') as IncomingMessage;
    },
    readers: async (expected: number) => {
      while (readers !== expected) await changed.promise;
    },
  };
}

/** Reads until the text matches. */
async function readUntil(response: AsyncIterable<string>, pattern: RegExp): Promise<string> {
  let text = '';
  for await (const piece of { [Symbol.asyncIterator]: () => pieces(response) }) {
    text += piece;
    if (pattern.test(text)) return text;
  }
  return assert.fail(`ended without ${pattern}: ${text}`);
}

/** The pieces without ending the stream with the loop that reads them. */
function pieces(response: AsyncIterable<string>): AsyncIterator<string> {
  const iterator = response[Symbol.asyncIterator]();
  return { next: () => iterator.next() };
}

test('an open stream says that it is alive as often as it was told', async (context) => {
  const { live, answer } = await serveTurn(context, { silenceMilliseconds: NEVER, heartbeatMilliseconds: 5 });
  live.append({ type: 'message.delta', text: 'One' });
  const response = await answer();
  const beats = await readUntil(response, /(: alive\n\n){3}/);
  assert.match(beats, /^id: 0\nevent: turn\.started\n/);
  live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
  assert.match(await readUntil(response, /turn\.completed/), /id: 2\nevent: turn\.completed\n/);
});

test('after silence the stream opens, and a failure is then its last event', async (context) => {
  const { live, answer } = await serveTurn(context, { silenceMilliseconds: 5, heartbeatMilliseconds: 5 });
  const response = await answer();
  assert.equal(response.statusCode, 200);
  await readUntil(response, /turn\.started[\s\S]*: alive\n\n/);
  const error = { code: 'provider_error', message: 'No provider could answer.' } as const;
  live.append({ type: 'turn.failed', ended: ended({ status: 'failed', error }) });
  const rest = await readUntil(response, /turn\.failed[\s\S]*\n\n/);
  assert.match(rest, /id: 1\nevent: turn\.failed\ndata: \{"error":\{"code":"provider_error"/);
});

test('before that a failure is a plain status', async (context) => {
  const { live, answer, readers } = await serveTurn(context, NEVER_TIMES);
  const answered = answer();
  await readers(1);
  const error = { code: 'provider_timeout', message: 'No provider answered in time.' } as const;
  live.append({ type: 'turn.failed', ended: ended({ status: 'failed', error }) });
  assert.equal((await answered).statusCode, 504);
});

test('a log that lost events before the first was read says so at once', async (context) => {
  const { live, answer, readers } = await serveTurn(context, NEVER_TIMES, 1024);
  const answered = answer();
  await readers(1);
  for (let count = 0; count < 100; count += 1) live.append({ type: 'message.delta', text: 'x'.repeat(100) });
  live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
  const text = await readUntil(await answered, /turn\.completed/);
  assert.match(text, /event: error\ndata: \{"error":\{"code":"events_expired"/);
  assert.doesNotMatch(text, /id: 5\n/);
});

for (const [when, appended] of [
  ['before the first token', false],
  ['after it', true],
] as const) {
  test(`of a client that left ${when} nothing stays`, async (context) => {
    const { live, open, gone, readers } = await serveTurn(context, NEVER_TIMES);
    const sent = open().on('error', () => undefined);
    if (appended) {
      live.append({ type: 'message.delta', text: 'One' });
      await once(sent, 'response');
    }
    await readers(1);
    sent.destroy();
    await gone;
    live.append({ type: 'message.delta', text: 'Two' });
    await readers(0);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return text;
}

const idsOf = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));

test('a stream of events opens at once, stays alive, and begins after the number it was given', async (context) => {
  const times = { silenceMilliseconds: NEVER, heartbeatMilliseconds: 5 };
  const { live, follow } = await serveTurn(context, times);
  const [response] = await once(follow('?after=0'), 'response');
  assert.equal(response.statusCode, 200);
  assert.match(response.headers['content-type'], /^text\/event-stream/);
  assert.ok(response.headers['x-request-id']);
  response.setEncoding('utf8');
  const beats = await readUntil(response, /(: alive\n\n){2}/);
  assert.doesNotMatch(beats, /id:/);
  live.append({ type: 'message.delta', text: 'One' });
  live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
  const rest = await textOf(response);
  assert.deepEqual(idsOf(rest), [1, 2]);
});

const asks: [query: string, headers: Record<string, string>, expected: number[]][] = [
  ['', {}, [0, 1, 2, 3]],
  ['?after=-1', {}, [0, 1, 2, 3]],
  ['?after=1', {}, [2, 3]],
  ['', { 'last-event-id': '2' }, [3]],
  ['?after=0', { 'last-event-id': '2' }, [1, 2, 3]],
  ['', { 'last-event-id': '-1' }, [0, 1, 2, 3]],
];
for (const [query, headers, expected] of asks) {
  test(`the events of an ended turn, asked for by "${query}" and ${JSON.stringify(headers)}`, async (context) => {
    const { live, follow, readers } = await serveTurn(context, NEVER_TIMES);
    live.append({ type: 'message.delta', text: 'One' });
    live.append({ type: 'message.restart', reason: 'another answer' });
    live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
    const [response] = await once(follow(query, headers), 'response');
    const text = await textOf(response);
    assert.deepEqual(idsOf(text), expected);
    if (expected.length > 1)
      assert.match(text, /event: message\.restart\ndata: \{"reason":"another answer"\}/);
    await readers(0);
  });
}

test('what follows the last event of a turn is no content, however far beyond it', async (context) => {
  const { live, follow, readers } = await serveTurn(context, NEVER_TIMES);
  live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
  for (const after of ['1', '2', '9'.repeat(500)]) {
    const [response] = await once(follow(`?after=${after}`), 'response');
    assert.equal(response.statusCode, 204, after);
    assert.equal(await textOf(response), '');
    const [byHeader] = await once(follow('', { 'last-event-id': after }), 'response');
    assert.equal(byHeader.statusCode, 204, after);
    byHeader.resume();
  }
  await readers(0);
});

test('a number that is none is refused, wherever it stands', async (context) => {
  const { follow } = await serveTurn(context, NEVER_TIMES);
  for (const wrong of ['-2', '1.5', 'x', '1e3', '', '0x1']) {
    for (const sent of [follow(`?after=${wrong}`), follow('', { 'last-event-id': wrong })]) {
      const [response] = await once(sent, 'response');
      assert.equal(response.statusCode, 400, JSON.stringify(wrong));
      assert.equal(JSON.parse(await textOf(response)).error.code, 'invalid_request');
    }
  }
  const [twice] = await once(follow('?after=1&after=2'), 'response');
  assert.equal(twice.statusCode, 400);
  twice.resume();
});

test('a reader that asks for what the log has dropped gets an error without a number, then the end', async (context) => {
  const { live, follow } = await serveTurn(context, NEVER_TIMES, 1024);
  for (let count = 0; count < 100; count += 1) live.append({ type: 'message.delta', text: 'x'.repeat(100) });
  const [response] = await once(follow('?after=0'), 'response');
  live.append({ type: 'turn.completed', ended: ended({ status: 'completed' }) });
  const text = await textOf(response);
  assert.match(
    text,
    /^event: error\ndata: \{"error":\{"code":"events_expired".*\n\nid: 101\nevent: turn\.completed\n/,
  );
  assert.deepEqual(idsOf(text), [101]);
});

test('HEAD has the headers of the stream, and does not wait for its end', async (context) => {
  const { url, readers } = await serveTurn(context, NEVER_TIMES);
  const sent = request(`${url}/turns/${turn.id}/events`, { method: 'HEAD', agent: false }).end();
  const [response] = await once(sent, 'response');
  assert.equal(response.statusCode, 200);
  assert.match(response.headers['content-type'], /^text\/event-stream/);
  assert.equal(await textOf(response), '');
  await readers(0);
});

test('of a follower that left nothing stays', async (context) => {
  const { follow, readers } = await serveTurn(context, NEVER_TIMES);
  const sent = follow().on('error', () => undefined);
  await once(sent, 'response');
  await readers(1);
  sent.destroy();
  await readers(0);
});
