/** What an operator's reset makes of a breaker, whatever was going on. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TargetState } from '../conversation/target-state.ts';
import { type Breaker, createBreakers } from './breaker.ts';

const START = 1_700_000_000_000;
const SECOND = 1000;

function stand() {
  let now = START;
  const changes: TargetState[] = [];
  const breakers = createBreakers({
    onChange: (state) => changes.push(state),
    now: () => now,
  });
  return {
    breakers,
    breaker: breakers.of({ provider: 'p', model: 'm' }),
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    states: () => changes.map(({ state }) => state),
    reset: () => breakers.reset('p', 'm'),
  };
}

function fail(breaker: Breaker, times = 1): void {
  for (let time = 0; time < times; time += 1) breaker.begin().failed(false);
}

describe('a breaker that is reset', () => {
  it('is in service again, and is told of', () => {
    const { breaker, breakers, pass, reset, states } = stand();
    breaker.begin().failed(true);
    pass(SECOND);
    reset();
    assert.deepEqual([breaker.isHealthy(), breaker.isOpen(), breaker.waitMilliseconds()], [true, false, 0]);
    const closed = { provider: 'p', model: 'm', state: 'closed', since: START + SECOND, until: null };
    assert.deepEqual(breakers.states(), [closed]);
    assert.deepEqual(states(), ['open', 'closed']);
    // No trial: any number of attempts may begin.
    const verdicts = [breaker.begin(), breaker.begin()];
    assert.equal(breaker.isHealthy(), true);
    for (const verdict of verdicts) verdict.succeeded();
    assert.deepEqual(states(), ['open', 'closed']);
  });

  it('has forgotten its failures, and for how long it was left out last', () => {
    const { breaker, pass, reset, states } = stand();
    fail(breaker, 4);
    reset();
    fail(breaker, 4);
    assert.deepEqual(states(), []);
    fail(breaker);
    assert.equal(breaker.waitMilliseconds(), 10 * SECOND);
    pass(10 * SECOND);
    breaker.begin().failed(false);
    assert.equal(breaker.waitMilliseconds(), 20 * SECOND);
    reset();
    fail(breaker, 5);
    assert.equal(breaker.waitMilliseconds(), 10 * SECOND);
  });

  it('does not count the share of failures from before', () => {
    const { breaker, reset, states } = stand();
    for (let pair = 0; pair < 9; pair += 1) {
      fail(breaker);
      breaker.begin().succeeded();
    }
    reset();
    breaker.begin().succeeded();
    fail(breaker);
    assert.deepEqual(states(), []);
  });

  it('is not left alone any more', () => {
    const { breaker, reset, states } = stand();
    breaker.begin().rest(60 * SECOND);
    reset();
    assert.equal(breaker.waitMilliseconds(), 0);
    assert.deepEqual(states(), ['resting', 'closed']);
  });

  it('takes nothing from a trial that was under way', () => {
    for (const ending of ['failed', 'succeeded', 'undecided'] as const) {
      const { breaker, pass, reset, states } = stand();
      breaker.begin().failed(true);
      pass(10 * SECOND);
      const trial = breaker.begin();
      reset();
      const before = states();
      if (ending === 'failed') trial.failed(true);
      else trial[ending]();
      assert.equal(breaker.isHealthy(), true, ending);
      assert.deepEqual(states(), before, ending);
      assert.deepEqual(before, ['open', 'half_open', 'closed'], ending);
    }
  });

  it('takes no failure from an attempt of before, but its asking to be left alone', () => {
    const { breaker, reset } = stand();
    const late = Array.from({ length: 6 }, () => breaker.begin());
    const patient = breaker.begin();
    reset();
    for (const verdict of late) verdict.failed(true);
    assert.equal(breaker.isHealthy(), true);
    patient.rest(3 * SECOND);
    assert.equal(breaker.waitMilliseconds(), 3 * SECOND);
  });

  it('lets no late trial end one that has begun since', () => {
    const { breaker, pass, reset, states } = stand();
    breaker.begin().failed(true);
    pass(10 * SECOND);
    const old = breaker.begin();
    reset();
    breaker.begin().failed(true);
    pass(10 * SECOND);
    const trial = breaker.begin();
    old.succeeded();
    old.undecided();
    old.rest(SECOND);
    assert.equal(states().at(-1), 'half_open');
    trial.succeeded();
    assert.equal(states().at(-1), 'closed');
  });

  it('is the one of that model, or of every model of the provider', () => {
    const { breakers } = stand();
    const names = [
      ['p', 'm'],
      ['p', 'n'],
      ['q', 'm'],
    ] as const;
    const openAll = () => {
      for (const [provider, model] of names) breakers.of({ provider, model }).begin().failed(true);
    };
    const open = () =>
      breakers
        .states()
        .filter(({ state }) => state === 'open')
        .map(({ provider, model }) => provider + model);
    openAll();
    breakers.reset('p', 'm');
    assert.deepEqual(open(), ['pn', 'qm']);
    breakers.reset('p', 'unknown');
    assert.equal(breakers.states().length, 3, 'a model that nobody asked is not looked up by it');
    openAll();
    breakers.reset('p', null);
    assert.deepEqual(open(), ['qm']);
  });
});
