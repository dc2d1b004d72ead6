import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createCallSlots } from './call-slots.ts';

describe('places for calls', () => {
  it('never has more taken than there are, nor leaves one unused that somebody waits for', async () => {
    const steps = fc.array(fc.constantFrom('take', 'give', 'leave'), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), steps, async (count, todo) => {
        const slots = createCallSlots(count);
        const held: (() => void)[] = [];
        const waiting: AbortController[] = [];
        for (const step of todo) {
          if (step === 'take') {
            const abort = new AbortController();
            waiting.push(abort);
            slots.take(abort.signal).then(
              (release) => {
                waiting.splice(waiting.indexOf(abort), 1);
                held.push(release);
              },
              () => undefined,
            );
          } else if (step === 'give') {
            const release = held.shift();
            release?.();
            release?.();
          } else {
            waiting.pop()?.abort();
          }
          await new Promise((resolve) => setImmediate(resolve));
          assert.ok(held.length <= count);
          if (waiting.length > 0) assert.equal(held.length, count);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('goes in the order of coming', async () => {
    const slots = createCallSlots(1);
    const release = await slots.take();
    const order: number[] = [];
    const all = [1, 2, 3].map(async (number) => {
      const done = await slots.take();
      order.push(number);
      done();
    });
    release();
    await Promise.all(all);
    assert.deepEqual(order, [1, 2, 3]);
  });

  it('gives none to whoever has left already', async () => {
    const slots = createCallSlots(1);
    await assert.rejects(slots.take(AbortSignal.abort(new Error('left'))), /left/);
    (await slots.take())();
  });
});
