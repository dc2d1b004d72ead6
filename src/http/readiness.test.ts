import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { TargetState } from '../conversation/target-state.ts';
import { AppError } from '../errors.ts';
import { checkReadiness } from './readiness.ts';

const NOW = 1_000_000;

function target(change: Partial<TargetState>): TargetState {
  return { provider: 'p', model: 'm', state: 'closed', since: NOW - 5000, until: null, ...change };
}

const open = target({ state: 'open', until: NOW + 1 });
const works = async () => undefined;

describe('readiness', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date', 'setTimeout'], now: NOW }));
  afterEach(() => mock.timers.reset());

  it('is there when the store answers and nothing was asked yet', async () => {
    assert.deepEqual(await checkReadiness({ store: works, targets: () => [] }), {
      status: 'ready',
      checks: { store: { status: 'ok' }, providers: { status: 'ok', targets: [] } },
    });
  });

  it('is not there when the store fails', async () => {
    const store = () => Promise.reject(new AppError('store_unavailable'));
    const { status, checks } = await checkReadiness({ store, targets: () => [] });
    assert.equal(status, 'unavailable');
    assert.deepEqual([checks.store.status, checks.providers.status], ['unavailable', 'ok']);
  });

  it('does not wait longer than 100 ms for the store, whatever becomes of its answer', async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const checked = checkReadiness({ store: () => promise, targets: () => [] });
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
      const { status, checks } = await checkReadiness({ store: works, targets: () => targets });
      assert.equal(checks.providers.status, expected, JSON.stringify(targets));
      assert.equal(status, expected === 'ok' ? 'ready' : 'unavailable');
    }
  });

  it('shows how it stands with each target', async () => {
    const { checks } = await checkReadiness({ store: works, targets: () => [open] });
    assert.deepEqual(checks.providers.targets, [
      {
        provider: 'p',
        model: 'm',
        state: 'open',
        since: new Date(NOW - 5000).toISOString(),
        until: new Date(NOW + 1).toISOString(),
      },
    ]);
  });
});
