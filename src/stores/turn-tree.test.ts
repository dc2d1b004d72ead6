/** The tree of turns: depths, places and jumps are those that stores work out when they begin turns themselves. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createTurnTree } from './turn-tree.ts';

const NO_PLACES = { inputPlaces: 0, outputPlaces: 0 };

test('places add up along the path, whatever other branches hold', () => {
  const tree = createTurnTree();
  const a = tree.add({ id: 'a', parentId: null, inputPlaces: 1, outputPlaces: 2 });
  const b = tree.add({ id: 'b', parentId: 'a', inputPlaces: 5, outputPlaces: 0 });
  const c = tree.add({ id: 'c', parentId: 'a', inputPlaces: 1, outputPlaces: 1 });
  const d = tree.add({ id: 'd', parentId: null, inputPlaces: 1, outputPlaces: 0 });
  assert.deepEqual(
    [a, b, c, d].map(({ number, parent, depth, placesBefore, placesAfter }) => [
      number,
      parent,
      depth,
      placesBefore,
      placesAfter,
    ]),
    [
      [1, 0, 1, 0, 3],
      [2, 1, 2, 3, 8],
      [3, 1, 2, 3, 5],
      [4, 0, 1, 0, 1],
    ],
  );
  assert.equal(tree.numberOf('c'), 3);
});

test('a parent that has not come, and a turn that comes twice, are refused', () => {
  const tree = createTurnTree();
  tree.add({ id: 'a', parentId: null, ...NO_PLACES });
  assert.throws(() => tree.add({ id: 'b', parentId: 'c', ...NO_PLACES }), /no turn c/);
  assert.throws(() => tree.add({ id: 'a', parentId: null, ...NO_PLACES }), /a is there twice/);
  assert.throws(() => tree.numberOf('b'), /no turn b/);
});

test('jumps lead to ancestors, and to any of them in few steps', () => {
  const parents = fc.array(fc.tuple(fc.nat(9), fc.nat(999)), { minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(parents, (choices) => {
      const tree = createTurnTree();
      const places = [{ parent: 0, jump: 0, depth: 0 }];
      for (const [chance, choice] of choices) {
        // Mostly the turn before, now and then any other.
        const parent = chance > 0 ? places.length - 1 : choice % places.length;
        const parentId = parent === 0 ? null : `${parent}`;
        places.push(tree.add({ id: `${places.length}`, parentId, ...NO_PLACES }));
      }
      const at = (number: number) => places[number] ?? { parent: 0, jump: 0, depth: 0 };
      for (let number = 1; number < places.length; number += 1) {
        const depth = Math.floor(at(number).depth / 3);
        let plain = number;
        while (at(plain).depth > depth) plain = at(plain).parent;
        let steps = 0;
        let quick = number;
        for (; at(quick).depth > depth; steps += 1) {
          const { jump, parent } = at(quick);
          quick = at(jump).depth >= depth ? jump : parent;
        }
        assert.equal(quick, plain);
        assert.ok(steps <= 3 * Math.ceil(Math.log2(at(number).depth + 2)), `${steps} steps`);
      }
    }),
  );
});
