import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { TargetState } from '../conversation/target-state.ts';
import { AppError } from '../errors.ts';
import { checkReadiness } from './readiness.ts';
import type { Readiness } from './rooms.ts';

const NOW = 1_000_000;

function target(change: Partial<TargetState>): TargetState {
  return { provider: 'p', model: 'm', state: 'closed', since: NOW - 5000, until: null, ...change };
}

const open = target({ state: 'open', until: NOW + 1 });
const works = async () => undefined;

/** Of a server whose providers are `p` and `q`, all in service unless it is said. */
function check(some: Partial<Readiness>) {
  const usual: Readiness = { store: works, targets: () => [], isInService: () => true, shared: () => [] };
  return checkReadiness({ ...usual, ...some }, [{ name: 'p' }, { name: 'q' }]);
}

describe('readiness', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date', 'setTimeout'], now: NOW }));
  afterEach(() => mock.timers.reset());

  it('is there when the store answers and nothing was asked yet', async () => {
    assert.deepEqual(await check({}), {
      status: 'ready',
      checks: { store: { status: 'ok' }, providers: { status: 'ok', targets: [] }, shared: [] },
    });
  });

  it('tells of what servers share, and is there without it', async () => {
    const shared = () =>
      [
        { part: 'limits', isReached: false },
        { part: 'exchange', isReached: true },
      ] as const;
    const { status, checks } = await check({ shared });
    assert.equal(status, 'ready');
    assert.deepEqual(checks.shared, [
      { part: 'limits', status: 'unavailable' },
      { part: 'exchange', status: 'ok' },
    ]);
  });

  it('is not there when the store fails', async () => {
    const store = () => Promise.reject(new AppError('store_unavailable'));
    const { status, checks } = await check({ store });
    assert.equal(status, 'unavailable');
    assert.deepEqual([checks.store.status, checks.providers.status], ['unavailable', 'ok']);
  });

  it('does not wait longer than 100 ms for the store, whatever becomes of its answer', async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const checked = check({ store: () => promise });
    let isOver = false;
    void checked.then(() => {
      isOver = true;
    });
    mock.timers.tick(99);
    await new Promise(setImmediate);
    assert.equal(isOver, false);
    mock.timers.tick(1);
    assert.equal((await checked).checks.store.status, 'unavailable');
    reject(new AppError('store_unavailable'));
    await promise.catch(() => undefined);
  });

  it('needs one target that is not out of service', async () => {
    const cases: [TargetState[], 'ok' | 'unavailable'][] = [
      [[open], 'unavailable'],
      [[open, target({ state: 'open', until: null })], 'unavailable'],
      [[open, target({ state: 'closed' })], 'ok'],
      [[open, target({ state: 'resting', until: NOW + 1 })], 'ok'],
      [[open, target({ state: 'half_open' })], 'ok'],
      // Its time is over: the next request tries it, and it must come to this server.
      [[open, target({ state: 'open', until: NOW })], 'ok'],
    ];
    for (const [targets, expected] of cases) {
      const { status, checks } = await check({ targets: () => targets });
      assert.equal(checks.providers.status, expected, JSON.stringify(targets));
      assert.equal(status, expected === 'ok' ? 'ready' : 'unavailable');
    }
  });

  it('needs a provider that no operator has taken out of service', async () => {
    const other = target({ provider: 'q' });
    const cases: [stopped: string[], TargetState[], 'ok' | 'unavailable'][] = [
      [['p', 'q'], [], 'unavailable'],
      [['p', 'q'], [target({}), other], 'unavailable'],
      // What is left out because it failed does not count where another is stopped.
      [['q'], [open, other], 'unavailable'],
      [['p'], [open, other], 'ok'],
      // Nobody has asked the one that is left, so nothing speaks against it.
      [['p'], [target({})], 'ok'],
    ];
    for (const [stopped, targets, expected] of cases) {
      const isInService = (provider: string) => !stopped.includes(provider);
      const { status, checks } = await check({ targets: () => targets, isInService });
      assert.equal(checks.providers.status, expected, JSON.stringify([stopped, targets]));
      assert.equal(status, expected === 'ok' ? 'ready' : 'unavailable');
      assert.deepEqual(
        checks.providers.targets.map(({ in_service }) => in_service),
        targets.map(({ provider }) => isInService(provider)),
      );
    }
  });

  it('shows how it stands with each target', async () => {
    const { checks } = await check({ targets: () => [open] });
    assert.deepEqual(checks.providers.targets, [
      {
        provider: 'p',
        in_service: true,
        model: 'm',
        state: 'open',
        since: new Date(NOW - 5000).toISOString(),
        until: new Date(NOW + 1).toISOString(),
      },
    ]);
  });
});
