import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { EndedTurn, TurnEvent } from '../conversation/event.ts';
import { createLiveTurn, type Follower, type LiveTurn } from './live-turn.ts';

const ended = new Promise<EndedTurn>(() => undefined);
const last = { type: 'turn.completed' } as TurnEvent;
const delta = (text: string): TurnEvent => ({ type: 'message.delta', text });

function liveTurn(maxBytes = 1_000_000): LiveTurn {
  return createLiveTurn('t', maxBytes, ended);
}

/** Everything that is there to read now. */
function readAll(follower: Follower): (string | number)[] {
  const read: (string | number)[] = [];
  for (let next = follower.next(); next !== null; next = follower.next()) {
    read.push(next === 'expired' ? next : next.number);
  }
  return read;
}

describe('a follower', () => {
  it('reads every event from the number it asks for, before and after it came', () => {
    const live = liveTurn();
    live.append(delta('a'));
    live.append(delta('b'));
    const follower = live.follow(0, () => undefined);
    live.append(last);
    assert.deepEqual(readAll(follower), [1, 2]);
    assert.equal(follower.over, true);
  });

  it('is woken once for what it has not read, and again after it has', () => {
    const live = liveTurn();
    let woken = 0;
    const follower = live.follow(-1, () => {
      woken += 1;
    });
    live.append(delta('a'));
    live.append(delta('b'));
    assert.equal(woken, 1);
    readAll(follower);
    live.append(delta('c'));
    assert.equal(woken, 2);
  });

  it('is woken at once for what is there already', () => {
    const live = liveTurn();
    live.append(delta('a'));
    let woken = 0;
    live.follow(-1, () => {
      woken += 1;
    });
    assert.equal(woken, 1);
  });

  it('is left alone once it is closed', () => {
    const live = liveTurn();
    const follower = live.follow(-1, () => assert.fail('woken'));
    follower.close();
    live.append(delta('a'));
  });

  it('is told what it has missed, and reads the rest to the last event', () => {
    const live = liveTurn(1000);
    const follower = live.follow(-1, () => undefined);
    for (let number = 0; number < 100; number += 1) live.append(delta('x'.repeat(40)));
    live.append(last);
    const read = readAll(follower);
    assert.equal(read[0], 'expired');
    assert.equal(read.at(-1), 100);
    assert.ok(read.length < 20, 'the log is bounded');
    assert.deepEqual(
      read.slice(1),
      Array.from({ length: read.length - 1 }, (_, i) => 102 - read.length + i),
    );
    assert.equal(follower.over, true);
  });

  it('keeps the last event, however large', () => {
    const live = liveTurn(10);
    live.append(delta('x'.repeat(100)));
    live.append(last);
    const follower = live.follow(-1, () => undefined);
    assert.deepEqual(readAll(follower), ['expired', 1]);
  });
});

describe('followers that connect at any moment', () => {
  it('read identical sequences', () => {
    const script = fc.array(fc.oneof(fc.constant('append'), fc.integer({ min: -1, max: 40 })), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(script, (steps) => {
        const live = liveTurn();
        const followers: { after: number; follower: Follower; read: (string | number)[] }[] = [];
        for (const step of steps) {
          if (typeof step === 'string') live.append(delta('x'));
          else followers.push({ after: step, follower: live.follow(step, () => undefined), read: [] });
          const reader = followers[Math.floor(followers.length / 2)];
          if (reader !== undefined) reader.read.push(...readAll(reader.follower));
        }
        live.append(last);
        const total = steps.filter((step) => step === 'append').length + 1;
        for (const { after, follower, read } of followers) {
          read.push(...readAll(follower));
          assert.deepEqual(
            read,
            Array.from({ length: Math.max(0, total - after - 1) }, (_, i) => after + 1 + i),
          );
        }
      }),
    );
  });
});
