import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { TargetState } from '../conversation/target-state.ts';
import { type Breaker, createBreakers, type Verdict } from './breaker.ts';

const target = { provider: 'p', model: 'm' };
const START = 1_700_000_000_000;
const SECOND = 1000;

/** A breaker under a clock that stands still until it is moved. */
function stand() {
  let now = START;
  const changes: TargetState[] = [];
  const breakers = createBreakers({
    onChange: (state) => changes.push(state),
    now: () => now,
  });
  const breaker = breakers.of(target);
  return {
    breakers,
    breaker,
    changes,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    states: () => changes.map(({ state }) => state),
    state: () => breakers.states()[0],
  };
}

function fail(breaker: Breaker, times = 1): void {
  for (let time = 0; time < times; time += 1) breaker.begin().failed(false);
}

function succeed(breaker: Breaker, times = 1): void {
  for (let time = 0; time < times; time += 1) breaker.begin().succeeded();
}

/** One that was left out, whose first time of it is over. */
function onceOpen() {
  const stage = stand();
  stage.breaker.begin().failed(true);
  stage.pass(10 * SECOND);
  return stage;
}

describe('a breaker in service', () => {
  it('is healthy, and attempts may begin', () => {
    const { breaker, changes, state } = stand();
    assert.equal(breaker.isHealthy(), true);
    assert.equal(breaker.isOpen(), false);
    assert.equal(breaker.waitMilliseconds(), 0);
    assert.deepEqual(state(), { ...target, state: 'closed', since: START, until: null });
    assert.deepEqual(changes, []);
  });

  it('opens with the fifth failure in a row', () => {
    const { breaker, state, pass, changes } = stand();
    fail(breaker, 4);
    assert.equal(breaker.isHealthy(), true);
    pass(5);
    fail(breaker);
    assert.equal(breaker.isHealthy(), false);
    assert.equal(breaker.isOpen(), true);
    assert.equal(breaker.waitMilliseconds(), 10 * SECOND);
    const open = { ...target, state: 'open', since: START + 5, until: START + 5 + 10 * SECOND };
    assert.deepEqual(state(), open);
    assert.deepEqual(changes, [open]);
  });

  it('does not open for failures between which it answered, or asked for patience', () => {
    const { breaker, states } = stand();
    fail(breaker, 4);
    succeed(breaker);
    fail(breaker, 4);
    breaker.begin().rest(0);
    fail(breaker, 4);
    assert.equal(states().includes('open'), false);
  });

  it('opens at once where one failure says enough', () => {
    const { breaker, states } = stand();
    succeed(breaker, 50);
    breaker.begin().failed(true);
    assert.deepEqual(states(), ['open']);
  });

  it('opens when half of twenty attempts within a minute have failed', () => {
    const { breaker, states } = stand();
    for (let pair = 0; pair < 9; pair += 1) {
      fail(breaker);
      succeed(breaker);
    }
    succeed(breaker);
    assert.deepEqual(states(), []);
    fail(breaker);
    assert.deepEqual(states(), ['open']);
  });

  it('does not open while less than half fail, nor for those of another minute', () => {
    const few = stand();
    for (let triple = 0; triple < 40; triple += 1) {
      succeed(few.breaker, 2);
      fail(few.breaker);
    }
    assert.deepEqual(few.states(), []);
    const slow = stand();
    for (let pair = 0; pair < 40; pair += 1) {
      fail(slow.breaker);
      succeed(slow.breaker);
      slow.pass(10 * SECOND);
    }
    assert.deepEqual(slow.states(), []);
  });

  it('learns nothing from attempts that end undecided', () => {
    const { breaker, changes } = stand();
    fail(breaker, 4);
    for (let time = 0; time < 50; time += 1) breaker.begin().undecided();
    assert.deepEqual(changes, []);
    fail(breaker);
    assert.equal(breaker.isOpen(), true);
  });
});

describe('a breaker that rests', () => {
  it('is left alone until then, is not out of service, and is back by itself', () => {
    const { breaker, state, states, pass } = stand();
    breaker.begin().rest(3 * SECOND);
    assert.equal(breaker.isHealthy(), false);
    assert.equal(breaker.isOpen(), false);
    pass(SECOND);
    assert.equal(breaker.waitMilliseconds(), 2 * SECOND);
    assert.deepEqual(state(), { ...target, state: 'resting', since: START, until: START + 3 * SECOND });
    pass(2 * SECOND);
    assert.equal(breaker.isHealthy(), true);
    assert.equal(state()?.state, 'closed');
    assert.equal(state()?.until, null);
    succeed(breaker);
    assert.deepEqual(states(), ['resting', 'closed']);
  });

  it('rests until the last of the times that it asked for', () => {
    const { breaker } = stand();
    const [first, second, third] = [breaker.begin(), breaker.begin(), breaker.begin()];
    first.rest(2 * SECOND);
    second.rest(5 * SECOND);
    third.rest(SECOND);
    assert.equal(breaker.waitMilliseconds(), 5 * SECOND);
  });

  it('opens all the same when it fails', () => {
    const { breaker, states } = stand();
    const other = breaker.begin();
    breaker.begin().rest(3 * SECOND);
    other.failed(true);
    assert.deepEqual(states(), ['resting', 'open']);
  });
});

describe('a breaker that is open', () => {
  it('is tried by one attempt after its time, and closes when that succeeds', () => {
    const { breaker, state, states } = onceOpen();
    assert.equal(breaker.waitMilliseconds(), 0);
    assert.equal(breaker.isHealthy(), false);
    const trial = breaker.begin();
    assert.equal(state()?.state, 'half_open');
    assert.equal(state()?.until, null);
    assert.equal(breaker.isHealthy(), false);
    assert.ok(breaker.waitMilliseconds() > 0);
    trial.succeeded();
    assert.deepEqual(states(), ['open', 'half_open', 'closed']);
    assert.equal(breaker.isHealthy(), true);
  });

  it('stays open twice as long after each trial that fails, up to a minute', () => {
    const { breaker, pass } = onceOpen();
    for (const seconds of [20, 40, 60, 60]) {
      fail(breaker);
      assert.equal(breaker.waitMilliseconds(), seconds * SECOND);
      pass(seconds * SECOND - 1);
      assert.equal(breaker.waitMilliseconds(), 1);
      pass(1);
    }
    succeed(breaker);
    breaker.begin().failed(true);
    assert.equal(breaker.waitMilliseconds(), 10 * SECOND);
  });

  it('forgets after a trial that succeeded what it had failed before', () => {
    const { breaker, pass, states } = stand();
    for (let time = 0; time < 18; time += 1) {
      succeed(breaker);
      if (time % 2 === 0) fail(breaker);
    }
    breaker.begin().failed(true);
    pass(10 * SECOND);
    succeed(breaker);
    fail(breaker, 4);
    assert.deepEqual(states(), ['open', 'half_open', 'closed']);
  });

  it('may be tried again at once after a trial that showed nothing', () => {
    const { breaker, states } = onceOpen();
    breaker.begin().undecided();
    assert.equal(breaker.waitMilliseconds(), 0);
    assert.equal(breaker.isOpen(), true);
    breaker.begin();
    assert.deepEqual(states(), ['open', 'half_open', 'open', 'half_open']);
  });

  it('rests when the trial is asked to wait: the target is there', () => {
    const { breaker, states } = onceOpen();
    breaker.begin().rest(SECOND);
    assert.equal(breaker.isOpen(), false);
    assert.deepEqual(states(), ['open', 'half_open', 'resting']);
  });

  it('may be asked before its time by those who have nobody else, and closes when it answers', () => {
    const { breaker, states } = stand();
    breaker.begin().failed(true);
    succeed(breaker);
    assert.deepEqual(states(), ['open', 'half_open', 'closed']);
  });

  const endings: [string, (verdict: Verdict) => void][] = [
    ['succeeds', (verdict) => verdict.succeeded()],
    ['fails', (verdict) => verdict.failed(false)],
    ['fails at once', (verdict) => verdict.failed(true)],
    ['is asked to wait', (verdict) => verdict.rest(SECOND)],
    ['shows nothing', (verdict) => verdict.undecided()],
  ];
  for (const [what, end] of endings) {
    it(`is not moved by an attempt of before that ${what}, nor is its trial`, () => {
      for (const tried of [false, true]) {
        const { breaker, states, pass } = stand();
        const before = breaker.begin();
        breaker.begin().failed(true);
        pass(10 * SECOND);
        if (tried) breaker.begin();
        end(before);
        assert.deepEqual(states(), tried ? ['open', 'half_open'] : ['open']);
        if (tried) assert.equal(breaker.waitMilliseconds(), 10 * SECOND);
      }
    });
  }

  it('is not ended by another attempt that shows nothing while the trial runs', () => {
    const { breaker, states } = onceOpen();
    const trial = breaker.begin();
    breaker.begin().undecided();
    assert.deepEqual(states(), ['open', 'half_open']);
    trial.succeeded();
    assert.equal(breaker.isHealthy(), true);
  });
});

describe('breakers', () => {
  it('are one for each provider and model', () => {
    const { breakers, breaker } = stand();
    breaker.begin().failed(true);
    assert.equal(breakers.of(target), breaker);
    assert.equal(breakers.of({ provider: 'p', model: 'other' }).isHealthy(), true);
    assert.equal(breakers.of({ provider: 'other', model: 'm' }).isHealthy(), true);
    assert.deepEqual(
      breakers.states().map(({ provider, model, state }) => [provider, model, state]),
      [
        ['p', 'm', 'open'],
        ['p', 'other', 'closed'],
        ['other', 'm', 'closed'],
      ],
    );
  });

  it('remember the thousand targets that were used last', () => {
    const { breakers, breaker } = stand();
    breaker.begin().failed(true);
    const name = (number: number) => ({ provider: 'p', model: `m${number}` });
    for (let number = 1; number < 1000; number += 1) breakers.of(name(number));
    assert.equal(breakers.of(target), breaker);
    for (let number = 1000; number < 1500; number += 1) breakers.of(name(number));
    const known = breakers.states();
    assert.equal(known.length, 1000);
    assert.ok(known.some(({ model, state }) => model === 'm' && state === 'open'));
    assert.ok(!known.some(({ model }) => model === 'm500'));
    assert.ok(known.some(({ model }) => model === 'm501'));
  });

  type Act = { begin: boolean; which: number; ending: number; milliseconds: number };
  const acts: fc.Arbitrary<Act[]> = fc.array(
    fc.record({
      begin: fc.boolean(),
      which: fc.nat(),
      ending: fc.nat(4),
      milliseconds: fc.oneof(fc.constant(0), fc.nat(70 * SECOND)),
    }),
    { maxLength: 120 },
  );

  it('let one attempt at a time try, of those who wait as they are told', () => {
    fc.assert(
      fc.property(acts, (course) => {
        const { breaker, pass, state } = stand();
        const running: Verdict[] = [];
        let trial: Verdict | null = null;
        for (const { begin, which, ending, milliseconds } of course) {
          pass(milliseconds);
          if (begin) {
            if (breaker.waitMilliseconds() > 0) continue;
            const isTrial = breaker.isOpen();
            const verdict = breaker.begin();
            assert.ok(!isTrial || trial === null, 'two trials at a time');
            if (isTrial) trial = verdict;
            running.push(verdict);
          } else {
            const [verdict] = running.splice(which % Math.max(1, running.length), 1);
            if (verdict === undefined) continue;
            endAs(verdict, ending);
            if (verdict === trial) trial = null;
          }
          assert.equal(state()?.state === 'half_open', trial !== null);
          assert.ok(breaker.waitMilliseconds() <= 60 * SECOND);
        }
      }),
      { numRuns: 500 },
    );
  });
});

function endAs(verdict: Verdict, ending: number): void {
  if (ending === 0) verdict.succeeded();
  else if (ending === 1) verdict.rest(SECOND);
  else if (ending === 2) verdict.undecided();
  else verdict.failed(ending === 3);
}
