import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { AppError } from '../errors.ts';
import { observeOutages } from './observe-outages.ts';

/** A store whose writes and reads the test lets fail, and what was told of it. */
function watched() {
  const state = { writes: true, reads: true };
  const told: unknown[] = [];
  const answer = async (serves: boolean) => {
    if (!serves) throw new AppError('store_unavailable', undefined, { cause: 'refused' });
  };
  const store = observeOutages(
    {
      isShared: true,
      ping: () => answer(state.writes),
      read: () => answer(state.reads),
      missing: async () => {
        throw new AppError('session_not_found');
      },
      admin: { save: () => answer(state.writes) },
    },
    {
      began: (cause) => told.push(cause),
      ended: (milliseconds) => told.push(milliseconds >= 0),
    },
  );
  return { store, state, told };
}

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await new Promise(setImmediate);
}

const isOut = { code: 'store_unavailable' };

describe('an outage of the store', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  it('is told of once, with its cause, and once when it is over', async () => {
    const { store, state, told } = watched();
    state.writes = false;
    for (let time = 0; time < 3; time += 1) {
      await assert.rejects(store.admin.save(), isOut);
      await pass(1000);
    }
    assert.deepEqual(told, ['refused']);
    state.writes = true;
    await pass(1000);
    assert.deepEqual(told, ['refused', true]);
    await pass(10_000);
    state.reads = false;
    await assert.rejects(store.read(), isOut);
    assert.deepEqual(told, ['refused', true, 'refused']);
  });

  it('lasts as long as any call fails, whatever else is done', async () => {
    const { store, state, told } = watched();
    state.reads = false;
    for (let time = 0; time < 3; time += 1) {
      await assert.rejects(store.read(), isOut);
      await pass(500);
      await store.admin.save();
      await assert.rejects(store.read(), isOut);
      await pass(500);
    }
    assert.deepEqual(told, ['refused']);
    await pass(1000);
    await pass(1000);
    assert.deepEqual(told, ['refused', true]);
  });

  it('is nothing that is wrong about a call, and the rest of the store stays as it is', async () => {
    const { store, told } = watched();
    await assert.rejects(store.missing(), { code: 'session_not_found' });
    await store.ping();
    assert.deepEqual([told, store.isShared], [[], true]);
  });
});
