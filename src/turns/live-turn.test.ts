import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { EndedTurn, TurnEvent } from '../conversation/event.ts';
import type { Trace } from '../conversation/trace.ts';
import type { Attempt, Turn } from '../conversation/turn.ts';
import { createTurnLog, type Follower, replay, type TurnLog } from './live-turn.ts';

const ended = new Promise<EndedTurn>(() => undefined);
const last = { type: 'turn.completed' } as TurnEvent;
const delta = (text: string): TurnEvent => ({ type: 'message.delta', text });

function turnLog(maxBytes = 1_000_000): TurnLog {
  return createTurnLog('t', maxBytes, ended);
}

/** Everything that is there to read now: the numbers of the events. */
function readAll(follower: Follower): (string | number)[] {
  const read: (string | number)[] = [];
  for (let next = follower.next(); next !== null; next = follower.next()) {
    read.push(next === 'expired' ? next : next.number);
  }
  return read;
}

function ignore(): void {}

describe('the times of attempts', () => {
  it('are those of the route, and of one that still runs there is only the beginning', () => {
    const log = turnLog();
    const started = { type: 'attempt-started', provider: 'p', model: 'm', source: 'default' } as const;
    const from = performance.now();
    log.note(started);
    log.note({ type: 'text-delta', text: 'a' });
    log.note({ type: 'attempt-ended', attempt: {} as Attempt });
    log.note(started);
    const [first, second, ...others] = log.asked;
    assert.ok(first !== undefined && first.from >= from && (first.to ?? 0) >= first.from);
    assert.ok(second !== undefined && second.from >= (first.to ?? 0));
    assert.deepEqual([second.to, others], [null, []]);
  });

  it('are none of a turn that is over', () => {
    const turn = { id: 't', trace: null, output: [], status: 'failed' } as unknown as Turn;
    assert.deepEqual(replay({ turn, seen: [] }).asked, []);
  });
});

describe('a follower', () => {
  it('reads every event from the number it asks for, before and after it came', () => {
    const log = turnLog();
    log.append(delta('a'));
    log.append(delta('b'));
    const follower = log.follow(0, ignore);
    assert.deepEqual(readAll(follower), [1]);
    assert.equal(follower.over, false);
    log.append(last);
    assert.deepEqual(readAll(follower), [2]);
    assert.equal(follower.over, true);
  });

  it('is woken once for what it has not read, and again after it has', () => {
    const log = turnLog();
    let woken = 0;
    const follower = log.follow(-1, () => {
      woken += 1;
    });
    assert.equal(follower.next(), null);
    log.append(delta('a'));
    log.append(delta('b'));
    assert.equal(woken, 1);
    readAll(follower);
    log.append(delta('c'));
    assert.equal(woken, 2);
  });

  it('is woken at once for what is there already', () => {
    const log = turnLog();
    log.append(delta('a'));
    let woken = 0;
    log.follow(-1, () => {
      woken += 1;
    });
    assert.equal(woken, 1);
  });

  it('is left alone once it is closed', () => {
    const log = turnLog();
    const follower = log.follow(-1, () => assert.fail('woken'));
    follower.close();
    log.append(delta('a'));
  });

  it('that asks for more than there will be is told that nothing follows, when that is known', () => {
    const log = turnLog();
    let woken = 0;
    const follower = log.follow(7, () => {
      woken += 1;
    });
    log.append(delta('a'));
    assert.deepEqual([follower.next(), follower.over], [null, false]);
    log.append(last);
    assert.deepEqual([follower.next(), follower.over], [null, true]);
    assert.ok(woken > 0);
  });
});

describe('a follower that fell behind', () => {
  it('is told so once, and then of the last event alone', () => {
    const log = turnLog(1000);
    const follower = log.follow(-1, ignore);
    for (let number = 0; number < 100; number += 1) log.append(delta('x'.repeat(40)));
    assert.deepEqual(readAll(follower), ['expired']);
    log.append(delta('y'));
    assert.deepEqual([readAll(follower), follower.over], [[], false]);
    log.append(last);
    assert.deepEqual([readAll(follower), follower.over], [[101], true]);
  });

  it('is told so also where the turn is over, whatever number it asks for', () => {
    const log = turnLog(10);
    log.append(delta('x'.repeat(100)));
    log.append(last);
    assert.deepEqual(readAll(log.follow(-1, ignore)), ['expired', 1]);
    assert.deepEqual(readAll(log.follow(0, ignore)), [1], 'number 1 is still there');
    assert.equal(log.follow(1, ignore).over, true);
  });

  it('holds up nobody who keeps up', () => {
    const log = turnLog(1000);
    const slow = log.follow(-1, ignore);
    const fast = log.follow(-1, ignore);
    const read: (string | number)[] = [];
    for (let number = 0; number < 100; number += 1) {
      log.append(delta('x'.repeat(40)));
      read.push(...readAll(fast));
    }
    log.append(last);
    read.push(...readAll(fast));
    assert.deepEqual(read, [...Array(101).keys()]);
    assert.deepEqual(readAll(slow), ['expired', 100]);
  });
});

describe('followers that connect at any moment', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ append: fc.nat({ max: 300 }) }) },
    fc.record({ after: fc.integer({ min: -1, max: 40 }) }),
    fc.record({ reader: fc.nat({ max: 40 }) }),
  );

  /** What is left of a follower's sequence: without gap from where it asked, or cut by `expired`. */
  function assertWhole(read: readonly (string | number)[], after: number, total: number): void {
    const expected = Array.from({ length: Math.max(0, total - after - 1) }, (_, index) => after + 1 + index);
    const cut = read.indexOf('expired');
    if (cut === -1) return assert.deepEqual(read, expected);
    assert.deepEqual(read.slice(0, cut), expected.slice(0, cut));
    assert.deepEqual(read.slice(cut + 1), [total - 1]);
  }

  function play(maxBytes: number, steps: readonly Record<string, number>[]): boolean {
    const log = turnLog(maxBytes);
    const followers: { after: number; follower: Follower; read: (string | number)[] }[] = [];
    let total = 1;
    for (const { append, after, reader } of steps) {
      if (append !== undefined) {
        log.append(delta('x'.repeat(append)));
        total += 1;
      } else if (after !== undefined) {
        followers.push({ after, follower: log.follow(after, ignore), read: [] });
      } else {
        const one = followers[(reader ?? 0) % Math.max(1, followers.length)];
        one?.read.push(...readAll(one.follower));
      }
    }
    log.append(last);
    for (const { after, follower, read } of followers) {
      read.push(...readAll(follower));
      assertWhole(read, after, total);
      assert.equal(follower.over, true);
    }
    return followers.some(({ read }) => read.includes('expired'));
  }

  it('read identical sequences', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        assert.equal(play(1_000_000, steps), false, 'nothing expires in a log that is large enough');
      }),
    );
  });

  it('read what there still is, and know what they have missed', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => void play(1000, steps)));
  });
});

describe('a turn that is over', () => {
  it('is read from its record, from any number on', async () => {
    const over = endedTurn([{ kind: 'message', lengths: [2, 3] }]);
    const live = replay(over);
    assert.equal(await live.ended, over);
    assert.deepEqual(readAll(live.follow(-1, ignore)), [0, 1, 2, 3]);
    assert.deepEqual(readAll(live.follow(1, ignore)), [2, 3]);
    for (const after of [3, 4, Number.MAX_SAFE_INTEGER]) {
      const follower = live.follow(after, ignore);
      assert.deepEqual([follower.over, follower.next()], [true, null]);
    }
  });

  it('of which nobody knows how its answer came tells so to who has read part of it', () => {
    const live = replay(endedTurn(null));
    assert.deepEqual(readAll(live.follow(-1, ignore)), [0, 1]);
    assert.deepEqual(readAll(live.follow(0, ignore)), [1]);
    assert.deepEqual(readAll(live.follow(1, ignore)), ['expired', 1]);
    assert.deepEqual(readAll(live.follow(100, ignore)), ['expired', 1]);
  });

  it('wakes who follows it at once', () => {
    let woken = 0;
    replay(endedTurn([])).follow(-1, () => {
      woken += 1;
    });
    assert.equal(woken, 1);
  });

  function endedTurn(trace: Trace | null): EndedTurn {
    const text = { type: 'output_text' as const, text: 'hello', annotations: [], logprobs: [] };
    const turn: Turn = {
      id: 't',
      sessionId: 's',
      parentId: null,
      status: trace === null ? 'failed' : 'completed',
      input: [],
      output: [{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [text] }],
      provider: 'p',
      model: 'm',
      providerSource: 'default',
      finishReason: 'stop',
      attempts: [],
      usage: null,
      error: trace === null ? { code: 'server_restarted', message: 'gone' } : null,
      seenPlaces: 0,
      trace,
      createdAt: 1,
      completedAt: 2,
    };
    return { turn, seen: [] };
  }
});
