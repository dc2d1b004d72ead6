/** The contract of slots as a suite for every implementation. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Slots } from './slots.ts';

export interface SlotsSubject {
  slots: Slots;
  close(): Promise<void>;
}

/** Registers the suite for one implementation; `open` is called for each test. */
export function slotsContract(name: string, open: () => Promise<SlotsSubject>): void {
  describe(`slots contract: ${name}`, () => {
    let subject: SlotsSubject;
    let slots: Slots;

    beforeEach(async () => {
      subject = await open();
      ({ slots } = subject);
    });

    afterEach(() => subject.close());

    test('as many are taken at once as there are, and one more when one is given back', async () => {
      const taken = await Promise.all(Array.from({ length: 10 }, () => slots.take('a', 3)));
      const held = taken.filter((slot) => slot !== null);
      assert.equal(held.length, 3);
      await held[1]?.release();
      const again = await slots.take('a', 3);
      assert.ok(again !== null);
      assert.equal(await slots.take('a', 3), null);
    });

    test('every identity has its own', async () => {
      assert.ok((await slots.take('a', 1)) !== null);
      assert.ok((await slots.take('b', 1)) !== null);
      assert.equal(await slots.take('a', 1), null);
    });

    test('a slot that is given back twice is one slot', async () => {
      const [first, second] = [await slots.take('a', 2), await slots.take('a', 2)];
      await first?.release();
      await first?.release();
      assert.ok((await slots.take('a', 2)) !== null);
      assert.equal(await slots.take('a', 2), null);
      await second?.release();
      assert.ok((await slots.take('a', 2)) !== null);
    });

    test('a change of how many there are holds from the next take on', async () => {
      const [first, second] = [await slots.take('a', 2), await slots.take('a', 2)];
      assert.equal(await slots.take('a', 1), null);
      await first?.release();
      assert.equal(await slots.take('a', 1), null);
      await second?.release();
      assert.ok((await slots.take('a', 1)) !== null);
      assert.ok((await slots.take('a', 2)) !== null);
    });
  });
}
