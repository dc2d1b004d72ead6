/** The chance of the campaign: the same again for the same seed, and fair enough to reach every place. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSeededRandom } from './seeded-random.ts';

test('a seed gives the same draws again, in branches as well', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const draws = () => {
        const random = createSeededRandom(seed);
        const branch = random.branch();
        return [random, branch, random, branch].map((from) => from.integer(0, 1_000_000));
      };
      assert.deepEqual(draws(), draws());
    }),
  );
});

test('different seeds draw differently', () => {
  const first = (seed: number) => createSeededRandom(seed).integer(0, 2 ** 31);
  assert.equal(new Set(Array.from({ length: 1000 }, (_, seed) => first(seed))).size, 1000);
});

test('every number within the bounds is drawn, and none beyond them', () => {
  const random = createSeededRandom(1);
  const drawn = new Set(Array.from({ length: 1000 }, () => random.integer(-2, 3)));
  assert.deepEqual(
    [...drawn].toSorted((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  );
  assert.deepEqual(
    random.shuffled([3, 1, 2, 1]).toSorted((a, b) => a - b),
    [1, 1, 2, 3],
  );
  const orders = new Set(Array.from({ length: 1000 }, () => random.shuffled(['a', 'b', 'c']).join('')));
  assert.equal(orders.size, 6);
  assert.ok(!random.chance(0));
  assert.ok(random.chance(1));
  assert.throws(() => random.pick([]), /nothing to pick from/);
});
