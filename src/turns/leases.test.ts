import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { AppError } from '../errors.ts';
import type { TurnClaim, TurnRenewal } from '../stores/store.ts';
import { createLeases } from './leases.ts';

const LEASE = 10_000;

/** A shared store that the test speaks for. */
function shared() {
  const renewals: TurnRenewal[] = [];
  const state = { lost: [] as string[], cancelled: [] as string[], interrupted: 0, out: false, looked: 0 };
  const told: unknown[] = [];
  const silences: Promise<void>[] = [];
  const leases = createLeases({
    store: {
      isShared: true,
      async renewTurns(renewal) {
        renewals.push(renewal);
        await silences.shift();
        if (state.out) throw new AppError('store_unavailable');
        return { lost: state.lost, cancelled: state.cancelled };
      },
      async failInterrupted() {
        state.looked += 1;
        if (state.out) throw new AppError('store_unavailable');
        return state.interrupted;
      },
    },
    leaseMilliseconds: LEASE,
    onFailure: (error) => told.push((error as AppError).code),
    onInterrupted: (count) => told.push(count),
  });
  return { leases, renewals, state, silences, told };
}

const claimOf = (turnId: string): TurnClaim => ({ sessionId: 's', turnId, fence: 1 });

const idOf = ({ turnId }: Pick<TurnClaim, 'turnId'>) => turnId;

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await new Promise(setImmediate);
}

describe('leases', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }));
  afterEach(() => mock.timers.reset());

  it('are renewed in time, all together, as long as their turns run', async () => {
    const { leases, renewals } = shared();
    const one = leases.keep(claimOf('a'), () => assert.fail('ended'));
    leases.keep(claimOf('b'), () => assert.fail('ended'));
    await pass(LEASE / 5);
    one.release();
    await pass(LEASE / 5);
    assert.deepEqual(
      renewals.map(({ running, leaseMilliseconds }) => [
        running.map(({ turnId }) => turnId),
        leaseMilliseconds,
      ]),
      [
        [['a', 'b'], 8000],
        [['b'], 8000],
      ],
    );
    // Whoever dies right after a renewal is found out before the whole time is over.
    assert.ok(leases.milliseconds + LEASE / 5 <= LEASE);
    await leases.close();
  });

  it('that are lost end their turns, and so does whoever cancels one elsewhere', async () => {
    const { leases, state } = shared();
    const ends: string[] = [];
    for (const turnId of ['a', 'b', 'c']) {
      leases.keep(claimOf(turnId), ({ code }) => ends.push(`${turnId} ${code}`));
    }
    state.lost = ['a', 'unknown'];
    state.cancelled = ['c'];
    await pass(LEASE / 5);
    assert.deepEqual(ends, ['a turn_superseded', 'c turn_cancelled']);
    await leases.close();
  });

  it('are renewed with the places of turns that wait, which begin without being lost', async () => {
    const { leases, renewals, state, silences } = shared();
    const silence = Promise.withResolvers<void>();
    silences.push(silence.promise);
    const place = leases.stand({ sessionId: 's', turnId: 'a' });
    await pass(LEASE / 5);
    // It begins while its place is being renewed, which is not there any more.
    place.release();
    leases.keep(claimOf('a'), () => assert.fail('ended'));
    state.lost = ['a'];
    silence.resolve();
    await pass(0);
    state.lost = [];
    await pass(LEASE / 5);
    const turnIds = renewals.map(({ running, waiting }) => [running, waiting].map((all) => all.map(idOf)));
    assert.deepEqual(turnIds, [
      [[], ['a']],
      [['a'], []],
    ]);
    await leases.close();
  });

  it('of servers that died are looked for, also by a server that has nothing to do', async () => {
    const { leases, renewals, state, told } = shared();
    await pass(LEASE / 5);
    state.interrupted = 2;
    await pass(LEASE / 5);
    assert.deepEqual([renewals.length, state.looked, told], [0, 2, [2]]);
    await leases.close();
  });

  it('outlive an outage of the store, which is told of once', async () => {
    const { leases, state, told } = shared();
    leases.keep(claimOf('a'), () => assert.fail('ended'));
    state.out = true;
    await pass(LEASE / 5);
    await pass(LEASE / 5);
    state.out = false;
    await pass(LEASE / 5);
    state.out = true;
    await pass(LEASE / 5);
    assert.deepEqual(told, ['store_unavailable', 'store_unavailable']);
    await leases.close();
  });

  it('are renewed once after a long silence of the store, and closing waits for one round', async () => {
    const { leases, renewals, silences } = shared();
    leases.keep(claimOf('a'), () => assert.fail('ended'));
    for (const close of [false, true]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      silences.push(promise);
      renewals.length = 0;
      await pass(6 * LEASE);
      const closed = close ? leases.close() : null;
      resolve();
      await closed;
      await pass(0);
      assert.equal(renewals.length, 1, 'what was missed is not made up for');
    }
  });

  it('are nobody else’s business on a store that is not shared', async () => {
    let asked = 0;
    const leases = createLeases({
      store: {
        isShared: false,
        renewTurns: async () => {
          asked += 1;
          return { lost: [], cancelled: [] };
        },
        failInterrupted: async () => {
          asked += 1;
          return 0;
        },
      },
      leaseMilliseconds: LEASE,
      onFailure: () => undefined,
      onInterrupted: () => undefined,
    });
    leases.keep(claimOf('a'), () => undefined);
    await pass(10 * LEASE);
    assert.equal(asked, 0);
    await leases.close();
  });
});
