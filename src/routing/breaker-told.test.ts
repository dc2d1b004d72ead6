/** Breakers of servers that tell each other what they find out. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Breakers, createBreakers } from './breaker.ts';

const target = { provider: 'p', model: 'm' };
const START = 1_700_000_000_000;
const SECOND = 1000;

describe('a breaker that others know of', () => {
  /** Two servers that tell each other everything at once. */
  function pair() {
    let now = START;
    const told: string[] = [];
    const create = (other: () => Breakers): Breakers =>
      createBreakers({
        onChange: () => undefined,
        report(report) {
          told.push(`${report.health} ${report.milliseconds}`);
          other().adopt(report);
        },
        now: () => now,
      });
    const one: Breakers = create(() => two);
    const two: Breakers = create(() => one);
    const pass = (milliseconds: number) => {
      now += milliseconds;
    };
    return { one: one.of(target), two: two.of(target), breakers: [one, two] as const, told, pass };
  }

  it('is left out by all from the moment on in which one leaves it out', () => {
    const { one, two, told } = pair();
    const begun = two.begin();
    for (let time = 0; time < 5; time += 1) one.begin().failed(false);
    assert.deepEqual([two.isOpen(), two.waitMilliseconds()], [true, 10 * SECOND]);
    // An attempt of before says nothing of how it is since.
    begun.succeeded();
    assert.equal(two.isOpen(), true);
    assert.deepEqual(told, ['open 10000']);
  });

  it('is tried by one, and back for all with its success', () => {
    const { one, two, told, pass } = pair();
    one.begin().failed(true);
    pass(10 * SECOND);
    assert.deepEqual([one.waitMilliseconds(), two.waitMilliseconds()], [0, 0]);
    const trial = two.begin();
    assert.equal(one.waitMilliseconds(), 10 * SECOND, 'somebody tries it');
    trial.succeeded();
    assert.deepEqual([one.isHealthy(), two.isHealthy()], [true, true]);
    assert.deepEqual(told, ['open 10000', 'trial 10000', 'closed 0']);
  });

  it('is left out for longer by all with the failure of a trial', () => {
    const { one, two, pass } = pair();
    one.begin().failed(true);
    pass(10 * SECOND);
    two.begin().failed(false);
    assert.deepEqual([one.waitMilliseconds(), two.waitMilliseconds()], [20 * SECOND, 20 * SECOND]);
    pass(20 * SECOND);
    one.begin().failed(false);
    assert.equal(two.waitMilliseconds(), 40 * SECOND);
  });

  it('is tried here if the server that tries it says nothing any more', () => {
    const { one, two, pass } = pair();
    one.begin().failed(true);
    pass(10 * SECOND);
    two.begin();
    pass(10 * SECOND);
    one.begin().succeeded();
    assert.deepEqual([one.isHealthy(), two.isOpen()], [true, true], 'its own trial shows it more');
  });

  it('rests for all where it asked one to', () => {
    const { one, two, pass } = pair();
    one.begin().rest(5 * SECOND);
    assert.deepEqual([two.isHealthy(), two.isOpen()], [false, false]);
    pass(5 * SECOND);
    assert.equal(two.isHealthy(), true);
  });

  it('is known to a server that comes later', () => {
    const { one, breakers, pass } = pair();
    one.begin().failed(true);
    breakers[0]
      .of({ ...target, model: 'fine' })
      .begin()
      .succeeded();
    pass(4 * SECOND);
    assert.deepEqual(breakers[0].reports(), [{ ...target, health: 'open', milliseconds: 6 * SECOND }]);
  });
});
