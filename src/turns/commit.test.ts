/** The end of a turn where the store does not take it. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  isError,
  keyOf,
  type OneSession,
  OWNER,
  openSession,
  reached,
  textOf,
} from '../../test/one-session.ts';
import { scriptedProvider } from '../../test/scripted-provider.ts';
import { AppError } from '../errors.ts';
import type { Store, TurnCommit } from '../stores/store.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

/** A store that takes no commits until it is repaired; what it was asked to commit is kept. */
function brokenStore() {
  const commits: TurnCommit[] = [];
  const recovered = Promise.withResolvers<void>();
  let isBroken = true;
  const store: Store = {
    ...session.store,
    async commitTurn(commit) {
      commits.push(commit);
      if (isBroken) throw new AppError('store_unavailable');
      const isStored = await session.store.commitTurn(commit);
      recovered.resolve();
      return isStored;
    },
  };
  return { store, commits, repair };

  /** Resolves when the next commit is stored. */
  function repair(): Promise<void> {
    isBroken = false;
    return recovered.promise;
  }
}

describe('a store that fails at the end of a turn', () => {
  it('makes the turn a failure for its client, which is stored once the store is back', async () => {
    const { store, commits, repair } = brokenStore();
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two']), { store });
    const { turn } = await session.run(turns, 'hello');
    assert.equal(turn.status, 'failed');
    assert.equal(turn.error?.code, 'store_unavailable');
    assert.equal(textOf(turn.output), 'one', 'what the model made stays on the record');
    // Until then its session is taken, and nobody knows yet how the turn ended.
    await assert.rejects(turns.start(session.request('too early')), isError('session_busy'));
    await assert.rejects(turns.find(OWNER, session.sessionId, turn.id), isError('store_unavailable'));

    await repair();
    assert.equal(commits[0]?.outcome.status, 'completed');
    assert.deepEqual(new Set(commits.slice(1).map(({ outcome }) => outcome.status)), new Set(['failed']));
    assert.deepEqual(await session.store.getTurn(OWNER, session.sessionId, turn.id), turn);
    assert.deepEqual(await session.conversation(), []);
    const next = await session.run(turns, 'again');
    assert.equal(next.turn.status, 'completed');
    assert.equal(next.turn.parentId, null);
  });

  it('lets a request with the same key run again once it is back', async () => {
    const { store, repair } = brokenStore();
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two']), { store });
    const key = keyOf('k');
    await session.run(turns, 'hello', { key });
    await assert.rejects(turns.start(session.request('hello', { key })), isError('store_unavailable'));
    await repair();
    const again = await turns.start(session.request('hello', { key }));
    assert.equal(again.replayed, false);
    assert.equal((await again.live.ended).turn.status, 'completed');
  });

  it('is not tried any more once the turns are drained', async () => {
    const { store, commits } = brokenStore();
    const turns = session.turnsWith(scriptedProvider('p', ['one']), { store });
    const { turn } = await session.run(turns, 'hello');
    await turns.drain(60_000);
    // Nobody tells of what does not happen: the next try would come after a second, before this timer.
    await new Promise((resolve) => setTimeout(resolve, 1001));
    assert.equal(commits.length, 1);
    const stored = await session.store.getTurn(OWNER, session.sessionId, turn.id);
    assert.equal(stored?.status, 'in_progress', 'the next start finds it');
  });
});

describe('a turn that has lost its session', () => {
  it('has failed, whatever its answer was, and the store keeps what it says itself', async () => {
    const gate = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', ['o', { until: gate.promise }, 'ne'], ['two']));
    const { live } = await turns.start(session.request('hello'));
    await reached(live, 'message.delta');
    await session.store.failInterrupted({ code: 'server_restarted', message: 'gone' }, Date.now());
    gate.resolve();
    const { turn } = await live.ended;
    assert.equal(turn.error?.code, 'turn_superseded');
    const stored = await session.store.getTurn(OWNER, session.sessionId, turn.id);
    assert.equal(stored?.error?.code, 'server_restarted');
    assert.deepEqual(await session.conversation(), []);
    assert.equal((await session.run(turns, 'again')).turn.status, 'completed');
  });

  it('because that was deleted, is told so', async () => {
    const gate = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', ['o', { until: gate.promise }, 'ne']));
    const { live } = await turns.start(session.request('hello'));
    await reached(live, 'message.delta');
    await session.sessions.delete(OWNER, session.sessionId);
    gate.resolve();
    const { turn } = await live.ended;
    assert.equal(turn.status, 'failed');
    assert.equal(turn.error?.code, 'session_not_found');
  });
});
