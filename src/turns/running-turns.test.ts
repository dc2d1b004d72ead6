import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyOf } from '../../test/one-session.ts';
import { createTurnInputs } from './inputs.ts';
import type { LiveTurn } from './live-turn.ts';
import { createRunningTurns, type KeyedRequest, type RunningTurn } from './running-turns.ts';

const request: KeyedRequest = { owner: 'o', sessionId: 's', key: keyOf('k') };
/** One that never begins is enough here. */
const begun = new Promise<LiveTurn>(() => undefined);

function running(id: string, some: Partial<RunningTurn> = {}): RunningTurn {
  const live = { id } as LiveTurn;
  const inputs = createTurnInputs(false);
  return { owner: 'o', sessionId: 's', key: null, live, inputs, cancel: () => undefined, ...some };
}

describe('running turns', () => {
  it('are found by their owner in their session, until they are removed', () => {
    const turns = createRunningTurns();
    const turn = running('t');
    turns.add(turn);
    assert.equal(turns.find('o', 's', 't'), turn);
    assert.equal(turns.find('stranger', 's', 't'), undefined);
    assert.equal(turns.find('o', 'other', 't'), undefined);
    assert.equal(turns.inSession('s'), turn);
    turns.remove('t');
    assert.equal(turns.find('o', 's', 't'), undefined);
    assert.equal(turns.inSession('s'), undefined);
    assert.deepEqual(turns.all(), []);
  });

  it('are not removed with one that ran before them, nor twice', () => {
    const turns = createRunningTurns();
    turns.add(running('t1'));
    turns.add(running('t2'));
    turns.remove('t1');
    turns.remove('t1');
    assert.equal(turns.inSession('s')?.live.id, 't2');
  });
});

describe('a key that has begun something', () => {
  it('lets the same request join, and no other', () => {
    const turns = createRunningTurns();
    assert.equal(turns.begunUnder(request), null);
    turns.remember(request, begun);
    assert.deepEqual(turns.begunUnder({ ...request, key: keyOf('k') }), { begun, isSame: true });
    const other = { ...request, key: keyOf('k', 'another body') };
    assert.deepEqual(turns.begunUnder(other), { begun, isSame: false });
  });

  it('is another one in another session, of another owner, or written otherwise', () => {
    const turns = createRunningTurns();
    turns.remember(request, begun);
    // Joined to one text, these would all be the same.
    for (const other of [
      { ...request, owner: 'stranger' },
      { ...request, sessionId: 's2' },
      { ...request, owner: 'o","s', sessionId: 'k' },
      { ...request, key: keyOf('K') },
    ]) {
      assert.equal(turns.begunUnder(other), null);
    }
  });

  it('is forgotten with its turn, or when it has begun none', () => {
    const turns = createRunningTurns();
    turns.remember(request, begun);
    turns.add(running('t', { key: request.key }));
    turns.remove('t');
    assert.equal(turns.begunUnder(request), null);
    turns.remember(request, begun).forget();
    assert.equal(turns.begunUnder(request), null);
  });

  it('is not forgotten by who had it before', () => {
    const turns = createRunningTurns();
    const before = turns.remember(request, begun);
    before.forget();
    turns.remember(request, begun);
    before.forget();
    assert.equal(turns.begunUnder(request)?.begun, begun);
  });
});
