import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  type ScriptedIdentity,
  type ScriptedProvider,
  scriptedProvider,
} from '../../test/scripted-provider.ts';
import { ProviderError, type ProviderErrorDetails, type ProviderFailure } from '../providers/provider.ts';
import { type Breaker, createBreakers } from './breaker.ts';
import { failureTable } from './failure.ts';
import { createItinerary, type Step, tellBreaker } from './itinerary.ts';
import type { Target, Targets } from './target.ts';

const SECOND = 1000;
const HALF = 0.5;

/** A journey under a clock that stands still until it is moved; waits are not waited for, but passed. */
function journey(...given: (string | ScriptedIdentity)[]) {
  let now = 0;
  let endsAt = 300 * SECOND;
  const breakers = createBreakers({
    onChange: () => undefined,
    now: () => now,
  });
  const [first, ...others] = given.map((one) => targetOf(scriptedProvider(one)));
  assert.ok(first !== undefined);
  const targets: Targets = [first, ...others];
  const remaining = () => endsAt - now;
  const start = () => createItinerary(targets, breakers, remaining, () => HALF);
  let itinerary = start();
  let step: Step | null = null;
  return {
    next,
    fail: (kind: ProviderFailure, details?: ProviderErrorDetails) => end(kind, details, 'failed'),
    breakOff: (kind: ProviderFailure, details?: ProviderErrorDetails) => end(kind, details, 'brokeOff'),
    remaining,
    restMilliseconds: () => itinerary.restMilliseconds(),
    breakerOf,
    /** What other turns have found out: it is left out. */
    leaveOut: (name: string) => breakerOf(name).begin().failed(true),
    rest: (name: string, milliseconds: number) => breakerOf(name).begin().rest(milliseconds),
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    hasLeft: (milliseconds: number) => {
      endsAt = now + milliseconds;
    },
    /** Another turn with the same targets. */
    again: () => {
      itinerary = start();
    },
  };

  /** The next target's name, with the wait before it if there is one; its attempt has begun. */
  function next(): string | null {
    step = itinerary.next();
    if (step === null) return null;
    now += step.wait;
    const { name } = step.target.provider;
    return step.wait === 0 ? name : `${name} after ${step.wait}`;
  }

  function end(kind: ProviderFailure, details: ProviderErrorDetails | undefined, how: 'failed' | 'brokeOff') {
    assert.ok(step !== null);
    const failure = new ProviderError(kind, details);
    tellBreaker(step.breaker.begin(), failure);
    itinerary[how](step.target, failure);
  }

  function breakerOf(name: string): Breaker {
    return breakers.of({ provider: name, model: `${name}-model` });
  }
}

function targetOf(provider: ScriptedProvider): Target {
  const { contextTokens } = provider;
  return { provider, model: provider.defaultModel ?? '', source: 'default', contextTokens };
}

const kinds = (Object.keys(failureTable) as (ProviderFailure | 'out_of_time')[]).filter(
  (kind) => kind !== 'out_of_time',
);
const kindsWith = (again: string, next: string) =>
  kinds.filter((kind) => failureTable[kind].again === again && failureTable[kind].next === next);

describe('the order of targets', () => {
  it('is as they stand', () => {
    const { next, fail } = journey('a', 'b', 'c');
    assert.equal(next(), 'a');
    fail('timeout');
    assert.equal(next(), 'b');
    fail('timeout');
    assert.equal(next(), 'c');
    fail('timeout');
    assert.equal(next(), null);
  });

  for (const kind of kindsWith('once', 'yes')) {
    it(`has the same target again once after ${kind}, after a pause, and then the next`, () => {
      const { next, fail } = journey('a', 'b');
      assert.equal(next(), 'a');
      fail(kind);
      assert.equal(next(), 'a after 250');
      fail(kind);
      assert.equal(next(), 'b');
    });
  }

  for (const kind of kindsWith('no', 'yes')) {
    it(`has the next target after ${kind}, and the same never again`, () => {
      const { next, fail } = journey('a', 'b');
      assert.equal(next(), 'a');
      fail(kind);
      assert.equal(next(), 'b');
      fail(kind);
      assert.equal(next(), null);
    });
  }

  for (const kind of kindsWith('no', 'no')) {
    it(`ends with ${kind}, whoever is left`, () => {
      const { next, fail } = journey('a', 'b');
      next();
      fail(kind);
      assert.equal(next(), null);
    });
  }

  it('ends with the turn’s time', () => {
    const { next, fail } = journey('a', 'b');
    next();
    fail('timeout', { clock: 'turn' });
    assert.equal(next(), null);
  });

  it('has no pause that does not fit into the turn’s time, and the same target not without one', () => {
    const { next, fail, hasLeft } = journey('a', 'b');
    next();
    hasLeft(250);
    fail('server_error');
    assert.equal(next(), 'b');
    fail('server_error');
    assert.equal(next(), null);
  });

  it('is no matter of what belongs to another turn', () => {
    const { fail } = journey('a');
    assert.throws(() => fail('timeout'));
    const [mine, other] = [targetOf(scriptedProvider('a')), targetOf(scriptedProvider('a'))];
    const breakers = createBreakers({ onChange: () => undefined });
    const itinerary = createItinerary([mine], breakers, () => SECOND, Math.random);
    assert.throws(() => itinerary.failed(other, new ProviderError('timeout')), /no target of this turn/);
  });
});

describe('a conversation that is too long', () => {
  it('goes to targets that are known to take more', () => {
    const { next, fail } = journey(
      { name: 'a', contextTokens: 8000 },
      { name: 'unknown' },
      { name: 'same', contextTokens: 8000 },
      { name: 'larger', contextTokens: 32_000 },
      { name: 'smaller', contextTokens: 4000 },
      { name: 'largest', contextTokens: 128_000 },
    );
    assert.equal(next(), 'a');
    fail('context_length_exceeded');
    assert.equal(next(), 'larger');
    fail('context_length_exceeded');
    assert.equal(next(), 'largest');
    fail('context_length_exceeded');
    assert.equal(next(), null);
  });

  it('goes from a target of unknown size to any of a known one', () => {
    const { next, fail } = journey('a', 'unknown', { name: 'known', contextTokens: 1 });
    next();
    fail('context_length_exceeded');
    assert.equal(next(), 'known');
    fail('context_length_exceeded');
    assert.equal(next(), null);
  });
});

describe('a target that asks to be left alone', () => {
  it('is passed over while another is ready, and asked again after it', () => {
    const { next, fail } = journey('a', 'b');
    assert.equal(next(), 'a');
    fail('rate_limited', { retryAfterMilliseconds: 2 * SECOND });
    assert.equal(next(), 'b');
    fail('timeout');
    assert.equal(next(), 'a after 2000');
    fail('rate_limited', { retryAfterMilliseconds: 2 * SECOND });
    assert.equal(next(), null);
  });

  it('is asked after all others also when its time is over already', () => {
    const { next, fail } = journey('a', 'b', 'c');
    next();
    fail('rate_limited', { retryAfterMilliseconds: 0 });
    assert.equal(next(), 'b');
    fail('unauthorized');
    assert.equal(next(), 'c');
    fail('unauthorized');
    assert.equal(next(), 'a');
  });

  it('is not waited for longer than the turn has time', () => {
    const { next, fail, hasLeft, restMilliseconds } = journey('a', 'b');
    next();
    fail('rate_limited', { retryAfterMilliseconds: 9 * SECOND });
    next();
    fail('rate_limited', { retryAfterMilliseconds: 7 * SECOND });
    hasLeft(7 * SECOND);
    assert.equal(next(), null);
    assert.equal(restMilliseconds(), 7 * SECOND);
  });

  it('is waited for if its time is over first, though it rests since another turn', () => {
    const { next, rest } = journey('a', 'b');
    rest('a', 5 * SECOND);
    rest('b', 3 * SECOND);
    assert.equal(next(), 'b after 3000');
  });

  it('is asked before one that failed too often', () => {
    const { next, rest, leaveOut } = journey('a', 'b');
    leaveOut('a');
    rest('b', 20 * SECOND);
    assert.equal(next(), 'b after 20000');
  });

  it('gives nobody’s time when nobody rests', () => {
    const { restMilliseconds, leaveOut } = journey('a', 'b');
    leaveOut('a');
    assert.equal(restMilliseconds(), null);
  });
});

describe('a target that is left out', () => {
  it('is passed over while another is ready', () => {
    const { next, fail, leaveOut } = journey('a', 'b', 'c');
    leaveOut('a');
    assert.equal(next(), 'b');
    fail('timeout');
    assert.equal(next(), 'c');
  });

  it('is tried in its place when its time is over, and passed over by all others meanwhile', () => {
    const { next, leaveOut, pass, breakerOf, again } = journey('a', 'b');
    leaveOut('a');
    pass(10 * SECOND);
    assert.equal(next(), 'a');
    breakerOf('a').begin();
    again();
    assert.equal(next(), 'b');
  });

  it('is asked all the same when all are: the one that is tried soonest first, the others after it', () => {
    const { next, fail, leaveOut, pass } = journey('a', 'b', 'c');
    leaveOut('b');
    pass(SECOND);
    leaveOut('c');
    pass(SECOND);
    leaveOut('a');
    assert.equal(next(), 'b');
    fail('timeout');
    assert.equal(next(), 'c');
    fail('timeout');
    assert.equal(next(), 'a');
    fail('timeout');
    assert.equal(next(), null);
  });

  it('is not asked twice before others that are not', () => {
    const { next, fail, leaveOut, pass } = journey('a', 'b');
    leaveOut('a');
    pass(10 * SECOND);
    assert.equal(next(), 'a');
    fail('server_error');
    assert.equal(next(), 'b');
  });

  it('is asked a second time after a pause, if that fits, when nobody else is there', () => {
    for (const [left, expected] of [
      [251, 'a after 250'],
      [250, null],
    ] as const) {
      const { next, fail, leaveOut, hasLeft } = journey('a');
      leaveOut('a');
      assert.equal(next(), 'a');
      hasLeft(left);
      fail('server_error');
      assert.equal(next(), expected);
    }
  });
});

describe('a target whose stream broke off', () => {
  it('is asked once more if it can go on with a text, after all others', () => {
    const { next, breakOff } = journey({ name: 'a', continuation: 'prefill' }, 'b', 'c');
    assert.equal(next(), 'a');
    for (const expected of ['b', 'c', 'a', null]) {
      breakOff('interrupted');
      assert.equal(next(), expected);
    }
  });

  it('is not asked again if it can only answer anew, or failed for good', () => {
    const none = journey('a');
    none.next();
    none.breakOff('interrupted');
    assert.equal(none.next(), null);
    for (const kind of kinds.filter((kind) => failureTable[kind].afterTokens === 'tell')) {
      const { next, breakOff } = journey({ name: 'a', continuation: 'prefill' }, 'b');
      next();
      breakOff(kind);
      assert.equal(next(), 'b', kind);
      breakOff(kind);
      assert.equal(next(), null, kind);
    }
  });

  it('is asked when the time is over for which it asked to be left alone', () => {
    const { next, breakOff } = journey({ name: 'a', continuation: 'instruct' });
    next();
    breakOff('rate_limited', { retryAfterMilliseconds: SECOND });
    assert.equal(next(), 'a after 1000');
  });
});

describe('a journey, whatever fails on it,', () => {
  const identity = fc.record({
    continuation: fc.constantFrom('none', 'prefill', 'instruct'),
    contextTokens: fc.constantFrom(null, 1000, 2000),
  });
  const failure = fc.record({
    kind: fc.constantFrom(...kinds),
    breaksOff: fc.boolean(),
    retryAfterMilliseconds: fc.constantFrom(undefined, 0, SECOND, 400 * SECOND),
    /** What the attempt takes. */
    milliseconds: fc.nat(30 * SECOND),
  });

  it('asks nobody more than twice, waits for nothing that does not fit, and ends', () => {
    fc.assert(
      fc.property(
        fc.array(identity, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(failure),
        fc.array(fc.nat(3)),
        (identities, failures, leftOut) => {
          const names = identities.map((_, index) => `p${index}`);
          const { next, fail, breakOff, pass, remaining, leaveOut } = journey(
            ...identities.map((one, index) => ({ name: `p${index}`, ...one })),
          );
          for (const index of leftOut) if (names[index] !== undefined) leaveOut(names[index]);
          const asked = new Map<string, number>();
          let left = remaining();
          for (let name = next(); name !== null; name = next()) {
            const [who = '', wait = 0] = name.split(' after ');
            assert.ok(Number(wait) < Math.max(1, left), name);
            asked.set(who, (asked.get(who) ?? 0) + 1);
            assert.ok((asked.get(who) ?? 0) <= 2, who);
            const { kind, breaksOff, milliseconds, ...details } = failures.next().value;
            pass(milliseconds);
            if (breaksOff) breakOff(kind, details);
            else fail(kind, details);
            left = remaining();
          }
          assert.ok(asked.size > 0);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
