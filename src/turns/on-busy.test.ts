/** What becomes of a message that comes while a turn runs, and of the turn that runs. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isError, type OneSession, openSession, reached, textOf } from '../../test/one-session.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { AppError } from '../errors.ts';
import type { Store } from '../stores/store.ts';
import type { LiveTurn } from './live-turn.ts';
import type { Turns } from './turns.ts';

let session: OneSession;
let gate: PromiseWithResolvers<void>;
/** An answer that is whole when the gate opens. */
let slow: Step[];

beforeEach(async () => {
  session = await openSession();
  gate = Promise.withResolvers();
  slow = ['sl', { until: gate.promise }, 'ow'];
});
afterEach(() => session.close());

/** Starts a turn and waits until its answer has begun. */
async function occupy(turns: Turns): Promise<LiveTurn> {
  const { live } = await turns.start(session.request('first'));
  await reached(live, 'message.delta');
  return live;
}

describe('a message that interrupts', () => {
  it('ends the running turn, and follows what there was of its answer', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never], ['two']));
    const live = await occupy(turns);
    const { turn } = await session.run(turns, 'second', { onBusy: 'interrupt' });
    const interrupted = (await live.ended).turn;
    assert.equal(interrupted.status, 'cancelled');
    assert.equal(interrupted.error?.code, 'turn_cancelled');
    assert.equal(turn.parentId, interrupted.id);
    assert.deepEqual(await session.conversation(), ['first', 'part', 'second', 'two']);
  });

  it('comes before those that wait, who run after it', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never], ['two'], ['three']));
    await occupy(turns);
    const waiting = session.run(turns, 'waiting');
    const interrupting = session.run(turns, 'interrupting', { onBusy: 'interrupt' });
    assert.equal((await waiting).turn.parentId, (await interrupting).turn.id);
    assert.equal((await waiting).turn.status, 'completed');
  });

  it('cancels those that interrupted before it, which the model is not asked', async () => {
    const provider = scriptedProvider('p', ['part', never], ['two']);
    const turns = session.turnsWith(provider);
    const live = await occupy(turns);
    const all = ['2', '3', '4'].map((content) => session.run(turns, content, { onBusy: 'interrupt' }));
    const statuses = (await Promise.all([live.ended, ...all])).map(({ turn }) => turn.status);
    assert.deepEqual(statuses, ['cancelled', 'cancelled', 'cancelled', 'completed']);
    assert.equal(provider.prompts.length, 2);
    assert.deepEqual(await session.conversation(), ['first', 'part', '4', 'two']);
    assert.equal((await session.allTurns()).length, 4, 'what was acknowledged can be read');
  });

  it('waits for nobody where the session is free', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    assert.equal((await session.run(turns, 'first', { onBusy: 'interrupt' })).turn.status, 'completed');
  });

  it('ends also a turn that the store is about to begin', async () => {
    const beginning = Promise.withResolvers<void>();
    const store: Store = {
      ...session.store,
      async beginTurn(begin) {
        beginning.resolve();
        await gate.promise;
        return session.store.beginTurn(begin);
      },
    };
    const provider = scriptedProvider('p', ['one']);
    const turns = session.turnsWith(provider, { store });
    const first = session.run(turns, 'first');
    await beginning.promise;
    const second = session.run(turns, 'second', { onBusy: 'interrupt' });
    gate.resolve();
    assert.equal((await first).turn.status, 'cancelled');
    assert.equal((await second).turn.status, 'completed');
    assert.equal(provider.prompts.length, 1);
  });

  it('comes too late for an answer that is whole and is just being stored', async () => {
    const committing = Promise.withResolvers<void>();
    const store: Store = {
      ...session.store,
      async commitTurn(commit) {
        committing.resolve();
        await gate.promise;
        return session.store.commitTurn(commit);
      },
    };
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two']), { store });
    const first = session.run(turns, 'first');
    await committing.promise;
    const second = session.run(turns, 'second', { onBusy: 'interrupt' });
    gate.resolve();
    assert.equal((await first).turn.status, 'completed');
    assert.equal((await second).turn.parentId, (await first).turn.id);
  });

  it('disturbs nobody where it finds no place in the line', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow), { queueMax: 0 });
    const live = await occupy(turns);
    await assert.rejects(
      turns.start(session.request('second', { onBusy: 'interrupt' })),
      isError('session_queue_full'),
    );
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
  });
});

describe('a message that does not want to wait', () => {
  it('is told which turn runs, and leaves no trace', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow, ['two']));
    const live = await occupy(turns);
    await assert.rejects(turns.start(session.request('second', { onBusy: 'reject' })), (error) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'session_busy');
      assert.deepEqual(error.details, { turn_id: live.id });
      return true;
    });
    gate.resolve();
    await live.ended;
    const { turn } = await session.run(turns, 'third', { onBusy: 'reject' });
    assert.equal(turn.status, 'completed');
    assert.deepEqual(
      (await session.allTurns()).map(({ id }) => id),
      [live.id, turn.id],
    );
  });
});

describe('a message that waits', () => {
  it('can be given up while it waits, and not any more when its turn has begun', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow, ['two']));
    const live = await occupy(turns);
    const gone = new AbortController();
    const givenUp = turns.start(session.request('second'), gone.signal);
    const kept = turns.start(session.request('third'));
    gone.abort();
    await assert.rejects(givenUp, isError('turn_cancelled'));
    gate.resolve();
    const started = await turns.start(session.request('fourth'), AbortSignal.any([]));
    assert.equal((await (await kept).live.ended).turn.parentId, live.id);
    assert.equal((await started.live.ended).turn.status, 'completed');
    assert.equal((await session.allTurns()).length, 3);
  });

  it('runs whatever its caller does once it has begun', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow));
    const gone = new AbortController();
    const { live } = await turns.start(session.request('first'), gone.signal);
    gone.abort();
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
  });
});

describe('somebody else', () => {
  it('can neither interrupt a session, nor wait for it, nor learn that it is busy', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow), { queueMax: 1 });
    const live = await occupy(turns);
    const stranger = { owner: 'stranger' };
    for (const onBusy of ['queue', 'reject', 'interrupt'] as const) {
      await assert.rejects(
        turns.start(session.request('x', { ...stranger, onBusy })),
        isError('session_not_found'),
      );
    }
    // In a line of their own they may meet themselves, and are told of nobody else.
    const first = assert.rejects(turns.start(session.request('x', stranger)), isError('session_not_found'));
    const second = turns.start(session.request('x', { ...stranger, onBusy: 'reject' }));
    await assert.rejects(second, (error) => {
      assert.ok(error instanceof AppError && error.code === 'session_busy');
      assert.equal(error.details, undefined);
      return true;
    });
    await first;
    gate.resolve();
    const { turn } = await live.ended;
    assert.equal(textOf(turn.output), 'slow');
  });
});
