import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { createKeyUses } from './key-uses.ts';

const PAUSE = 10_000;

/** A store whose answers the test gives, and what is told of it. */
function noting() {
  const batches: Record<string, number>[] = [];
  const answers: (() => Promise<void>)[] = [];
  const failures: string[] = [];
  const uses = createKeyUses(
    {
      noteKeyUses: (batch) => {
        batches.push(Object.fromEntries(batch));
        return answers.shift()?.() ?? Promise.resolve();
      },
    },
    (error) => failures.push((error as Error).message),
  );
  return { uses, batches, answers, failures };
}

const fail = (message: string) => () => Promise.reject(new Error(message));

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await new Promise(setImmediate);
}

describe('the last uses of keys', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }));
  afterEach(() => mock.timers.reset());

  it('are written together every ten seconds, the latest of each key, and only if there are any', async () => {
    const { uses, batches } = noting();
    uses.note('a', 1);
    uses.note('b', 2);
    uses.note('a', 3);
    await pass(PAUSE - 1);
    assert.deepEqual(batches, []);
    await pass(1);
    assert.deepEqual(batches, [{ a: 3, b: 2 }]);
    await pass(PAUSE);
    assert.equal(batches.length, 1);
    await uses.close();
    assert.equal(batches.length, 1);
  });

  it('are written when it closes, and not again', async () => {
    const { uses, batches } = noting();
    uses.note('a', 1);
    await uses.close();
    assert.deepEqual(batches, [{ a: 1 }]);
    await pass(3 * PAUSE);
    assert.equal(batches.length, 1);
  });

  it('are kept through an outage, which is told of once, and again when it comes again', async () => {
    const { uses, batches, answers, failures } = noting();
    answers.push(fail('first'), fail('second'));
    uses.note('a', 1);
    uses.note('b', 1);
    await pass(PAUSE);
    uses.note('a', 2);
    await pass(PAUSE);
    await pass(PAUSE);
    assert.deepEqual(batches.slice(1), [
      { a: 2, b: 1 },
      { a: 2, b: 1 },
    ]);
    assert.deepEqual(failures, ['first']);
    answers.push(fail('third'));
    uses.note('a', 3);
    await pass(PAUSE);
    assert.deepEqual(failures, ['first', 'third']);
    await uses.close();
    assert.deepEqual(batches.at(-1), { a: 3 });
  });

  it('wait for a store that is slow, one batch at a time, also when it closes', async () => {
    const { uses, batches, answers } = noting();
    const { promise, resolve } = Promise.withResolvers<void>();
    answers.push(() => promise);
    uses.note('a', 1);
    await pass(PAUSE);
    uses.note('b', 2);
    await pass(3 * PAUSE);
    assert.deepEqual(batches, [{ a: 1 }]);
    const closed = uses.close();
    resolve();
    await closed;
    assert.deepEqual(batches, [{ a: 1 }, { b: 2 }]);
  });

  it('reject the closing if they cannot be written', async () => {
    const { uses, answers } = noting();
    answers.push(fail('out'));
    uses.note('a', 1);
    await assert.rejects(uses.close(), /out/);
  });
});
