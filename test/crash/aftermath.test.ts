/** What blows excuse, and what they do not: sessions that are held too long, and usage that is not counted. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Blow, missingUsage, type ServerLife, stuckTurns } from './aftermath.ts';
import type { TurnRecord } from './history.ts';

const NOON = Date.parse('2026-11-25T12:00:00Z');

/** Times count from noon, in milliseconds. */
function turn(begun: number, ended: number | null, more: Partial<TurnRecord> = {}): TurnRecord {
  return {
    id: 'turn',
    session_id: 'session',
    status: 'completed',
    parent_turn_id: null,
    error: null,
    model: 'model',
    usage: { total_tokens: 10 },
    created_at: new Date(NOON + begun).toISOString(),
    completed_at: ended === null ? null : new Date(NOON + ended).toISOString(),
    ...more,
  };
}

function blow(begun: number, passed: number, server: number | null = null): Blow {
  return { kind: 'a blow', server, begunAt: NOON + begun, passedAt: NOON + passed };
}

describe('a turn that holds its session', () => {
  const stuck = (one: TurnRecord, ...blows: Blow[]) => stuckTurns([one], blows, 2000);

  test('may last so long by itself, and no longer', () => {
    assert.deepEqual(stuck(turn(0, 2000)), []);
    assert.deepEqual(stuck(turn(0, 2001)), [
      'session session: 4: turn turn held it for 2001 ms after the last blow',
    ]);
  });

  test('may last so long after the last blow that it has felt', () => {
    assert.deepEqual(stuck(turn(0, 6000), blow(100, 4000)), []);
    assert.equal(stuck(turn(0, 6001), blow(100, 4000)).length, 1);
    assert.deepEqual(stuck(turn(0, 9000), blow(100, Infinity)), [], 'the blow is not over');
  });

  test('is not excused by blows before and after it', () => {
    assert.equal(stuck(turn(0, 3000), blow(-500, -1), blow(3001, 4000)).length, 1);
  });

  test('is somebody else’s matter if it is not over', () => {
    assert.deepEqual(stuck(turn(0, null)), []);
  });
});

describe('usage', () => {
  const missing = (life: Partial<ServerLife>, counted: number, ...blows: Blow[]) =>
    missingUsage(
      [turn(0, 100), turn(200, 3000), turn(3000, 9900), turn(0, 50, { model: 'another' })],
      [{ server: 1, model: 'model', killedAt: null, ...life }],
      blows,
      new Map([['model', counted]]),
    );
  const killed = { killedAt: NOON + 10_000 };

  test('of a process that lives is all counted', () => {
    assert.deepEqual(missing({}, 30), []);
    assert.deepEqual(missing({}, 29), ['usage: model used 30 tokens, and 29 are counted']);
  });

  test('of a failed turn need not be counted', () => {
    const failed = turn(0, 1, { status: 'failed' });
    const life = { server: 1, model: 'model', killedAt: null };
    assert.deepEqual(missingUsage([failed], [life], [], new Map()), []);
  });

  test('of a killed process is counted but for what it may forget', () => {
    assert.deepEqual(missing(killed, 20), []);
    assert.equal(missing(killed, 19).length, 1);
  });

  test('is forgotten from the blow on that kept a process from the store until it died', () => {
    assert.deepEqual(missing(killed, 10, blow(4000, 9000)), []);
    assert.equal(missing(killed, 9, blow(4000, 9000)).length, 1);
    assert.deepEqual(missing(killed, 10, blow(8000, 9000), blow(4000, 7000)), [], 'one after another');
    assert.equal(missing(killed, 19, blow(4000, 8000)).length, 1, 'long enough before');
    assert.equal(missing(killed, 19, blow(4000, 9000, 2)).length, 1, 'the link of another');
  });
});
