/** Many followers of one turn, who come and go when they like: all see the same events under the same numbers. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { readEvents, type StreamEvent } from '../acceptance/client.ts';
import {
  createGate,
  type ParleysWithDouble,
  startParleyWithDouble,
} from '../acceptance/parley-with-double.ts';
import { onEveryStore } from './on-every-store.ts';
import { startPacedTurn } from './paced-turn.ts';
import { openUnread } from './unread-stream.ts';

let server: ParleysWithDouble;
onEveryStore(
  { LOG_LEVEL: 'warn' },
  (started) => {
    server = started;
  },
  races,
);

interface Follower {
  /** After which piece of the text it connects; beyond the last one, after the turn's end. */
  comes: number;
  /** The number after which it wants to read; null asks for all. */
  after: number | null;
  asks: 'query' | 'header';
}

/** The events after the number, as one connection gave them; null if there was nothing to give. */
async function follow(
  url: string,
  turn: string,
  { after, asks }: Follower,
): Promise<() => Promise<StreamEvent[] | null>> {
  const query = after !== null && asks === 'query' ? `?after=${after}` : '';
  const headers = after !== null && asks === 'header' ? { 'last-event-id': String(after) } : {};
  const response = await fetch(`${url}${turn}/events${query}`, { headers });
  if (response.status === 204) return async () => null;
  assert.equal(response.status, 200);
  return async () => readEvents(await response.text());
}

const piece = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }),
  fc.constantFrom('\n\n', 'data: x\n', 'event: turn.completed\n\n', '\r', '\u2028'),
);

function races(): void {
  beforeEach(() => server.double.reset());

  test('each follower sees exactly what follows the number it asked for, whenever it comes', async () => {
    const follower = fc.record<Follower>({
      comes: fc.nat({ max: 45 }),
      after: fc.oneof(
        fc.constant(null),
        fc.integer({ min: -1, max: 45 }),
        fc.constant(Number.MAX_SAFE_INTEGER),
      ),
      asks: fc.constantFrom('query', 'header'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 40 }),
        fc.array(follower, { minLength: 20, maxLength: 40 }),
        seesTheSame,
      ),
      { numRuns: 15 },
    );
  });

  test('a client that breaks off after every few events and comes back misses and repeats nothing', async () => {
    const pieces = Array.from({ length: 60 }, (_, index) => `piece ${index} `);
    const travellers = Array.from({ length: 10 }, (_, index) => index + 1);
    const joined = Promise.withResolvers<StreamEvent[][]>();
    const { events } = await startPacedTurn(server, pieces, async (index, turn) => {
      if (index === 0) joined.resolve(Promise.all(travellers.map((stride) => travel(turn, stride))));
    });
    for (const seen of await joined.promise) assert.deepEqual(seen, events);
  });
}

async function seesTheSame(pieces: string[], followers: Follower[]): Promise<void> {
  const seen = new Map<Follower, Promise<StreamEvent[] | null>>();
  /** Resolves when they are connected: what they see is read while the turn goes on. */
  const connect = async (turn: string, coming: readonly Follower[]) => {
    const opened = await Promise.all(coming.map((one) => follow(server.url, turn, one)));
    for (const [index, read] of opened.entries()) seen.set(coming[index]!, read());
  };
  const { turn, events } = await startPacedTurn(server, pieces, (index, turn) =>
    connect(
      turn,
      followers.filter(({ comes }) => comes === index),
    ),
  );
  assertWhole(events, pieces.join(''));
  // Those for whom the provider's stream was too short.
  await connect(
    turn,
    followers.filter((one) => !seen.has(one)),
  );

  for (const one of followers) {
    const rest = events.slice((one.after ?? -1) + 1);
    const got = await seen.get(one);
    if (rest.length > 0) assert.deepEqual(got, rest);
    // Nothing follows: who came while the turn ran had to be heard out to know.
    else assert.ok(got === null || got?.length === 0, JSON.stringify(got));
  }
}

/** The stream is numbered from 0 without a gap and adds up to the text. */
function assertWhole(events: readonly StreamEvent[], text: string): void {
  assert.deepEqual(
    events.map(({ id }) => id),
    [...events.keys()],
  );
  const deltas = events.filter(({ event }) => event === 'message.delta');
  assert.equal(deltas.map(({ data }) => data.text).join(''), text);
  assert.deepEqual([events[0]?.event, events.at(-1)?.event], ['turn.started', 'turn.completed']);
  assert.equal(events.at(-1)?.data.message.content, text);
}

/** Reads the turn's events with a new connection after every so many. */
async function travel(turn: string, stride: number): Promise<StreamEvent[]> {
  const seen: StreamEvent[] = [];
  for (;;) {
    const leave = new AbortController();
    const response = await fetch(`${server.url}${turn}/events?after=${seen.at(-1)?.id ?? -1}`, {
      signal: leave.signal,
    });
    if (response.status === 204) return seen;
    let text = '';
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2)).length >= stride) break;
    }
    seen.push(...readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2)).slice(0, stride));
    leave.abort();
  }
}

describe('one server that keeps 4 KiB of a running turn', () => {
  let forgetful: ParleysWithDouble;
  before(async () => {
    forgetful = await startParleyWithDouble({ LOG_LEVEL: 'warn', TURN_LOG_MAX_BYTES: '4096' });
  });
  beforeEach(() => forgetful.double.reset());
  after(() => forgetful.close());

  test('a follower that comes too late for what is kept is told so, and then how the turn ended', async () => {
    const pieces = Array.from({ length: 40 }, () => 'x'.repeat(400));
    const late: Promise<StreamEvent[]>[] = [];
    const { events, turn } = await startPacedTurn(forgetful, pieces, async (index, turn) => {
      // All of the text was heard, and most of it is dropped.
      if (index !== pieces.length - 1) return;
      for (const after of [null, -1, 0, 1]) {
        const read = await follow(forgetful.url, turn, { comes: index, after, asks: 'header' });
        late.push(read().then((seen) => seen ?? []));
      }
    });
    for (const seen of await Promise.all(late)) assertExpired(seen, events.at(-1));
    // Once it is over, all of it is there again.
    const read = await follow(forgetful.url, turn, { comes: 0, after: null, asks: 'query' });
    assertWhole((await read()) ?? [], pieces.join(''));
  });

  test('a follower that reads too slowly is told so, and then how the turn ended', async () => {
    const { url, double, newSession, call } = forgetful;
    const gate = createGate();
    // In all more than the system keeps for a connection that nobody reads.
    const pieces = ['first', ...Array.from({ length: 1024 }, () => 'x'.repeat(16 * 1024))];
    double.respondOnce({ text: pieces, waitAt: { piece: 2, wait: gate.opened } });
    const path = `/sessions/${await newSession()}/messages`;
    const headers = { 'idempotency-key': 'slow' };
    const sent = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ content: 'Go', stream: true }),
    });
    await sent.body?.cancel();
    const { data } = (await call('GET', path.replace('messages', 'turns'))).body;
    const turn = `${path.replace('messages', 'turns')}/${data[0].id}`;
    const unread = await openUnread(`${url}${turn}/events`);
    gate.open();
    // Who joins the turn is answered when it is over; until then the follower has read nothing.
    const { status } = await call('POST', path, { content: 'Go' }, headers);
    assert.equal(status, 200);

    const seen = readEvents(await unread.read());
    const all = await (await follow(url, turn, { comes: Infinity, after: null, asks: 'query' }))();
    assertWhole(all ?? [], pieces.join(''));
    const expired = seen.findIndex(({ event }) => event === 'error');
    assert.ok(expired > 0, `it was told something before: ${seen.map(({ event }) => event).join(' ')}`);
    assert.deepEqual(seen.slice(0, expired), all?.slice(0, expired));
    assertExpired(seen.slice(expired), all?.at(-1));
  });
});

function assertExpired(seen: readonly StreamEvent[], last: StreamEvent | undefined): void {
  assert.deepEqual(
    seen.map(({ id, event }) => [id, event]),
    [
      [null, 'error'],
      [last?.id, 'turn.completed'],
    ],
  );
  assert.equal(seen[0]?.data.error.code, 'events_expired');
  assert.deepEqual(seen[1]?.data, last?.data);
}
