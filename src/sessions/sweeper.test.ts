import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { createSweeper } from './sweeper.ts';

const FIRST = 1000;
const PAUSE = 10_000;

type Swept = { sessions: number; more: boolean };

/** A store whose sweeps are answered as the test says, and what the sweeper tells of them. */
function sweeping(retentionMilliseconds: number | null = null) {
  const asked: { now: number; idleBefore: number | null }[] = [];
  const answers: (() => Promise<Swept>)[] = [];
  const swept: number[] = [];
  const failures: unknown[] = [];
  const sweeper = createSweeper({
    store: {
      sweep: (now, idleBefore) => {
        asked.push({ now, idleBefore });
        return answers.shift()?.() ?? Promise.resolve({ sessions: 0, more: false });
      },
    },
    retentionMilliseconds,
    onSwept: (sessions) => swept.push(sessions),
    onFailure: (error) => failures.push(error),
  });
  return { sweeper, asked, answers, swept, failures };
}

const answer = (sessions: number, more: boolean) => async () => ({ sessions, more });
const fail = (message: string) => () => Promise.reject(new Error(message));

/** Lets everything happen that waits for nothing but its turn: a batch takes a round or two. */
async function rounds(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await new Promise(setImmediate);
}

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await rounds();
}

describe('the sweeper', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 5_000_000 }));
  afterEach(() => mock.timers.reset());

  it('sweeps soon after the start, then ten seconds after each sweep', async () => {
    const { sweeper, asked } = sweeping();
    await pass(FIRST - 1);
    assert.equal(asked.length, 0);
    await pass(1);
    assert.deepEqual(asked, [{ now: 5_000_000 + FIRST, idleBefore: null }]);
    await pass(PAUSE - 1);
    assert.equal(asked.length, 1);
    await pass(1);
    assert.equal(asked.length, 2);
    await sweeper.close();
  });

  it('asks for what was idle for longer than the retention', async () => {
    const { sweeper, asked } = sweeping(2_000_000);
    await pass(FIRST);
    assert.deepEqual(asked, [{ now: 5_001_000, idleBefore: 3_001_000 }]);
    await sweeper.close();
  });

  it('goes on while there is more, lets others in between, and tells how many went', async () => {
    const { sweeper, asked, answers, swept } = sweeping();
    const seen: number[] = [];
    answers.push(answer(3, true), answer(0, true), answer(4, false));
    mock.timers.tick(FIRST);
    for (let round = 0; round < 20; round += 1) {
      await new Promise(setImmediate);
      seen.push(asked.length);
    }
    assert.deepEqual([...new Set(seen)], [1, 2, 3], 'one batch per round of the event loop');
    assert.deepEqual(swept, [7]);
    await pass(PAUSE);
    assert.equal(asked.length, 4);
    assert.deepEqual(swept, [7], 'nothing went, nothing is told');
    await sweeper.close();
  });

  it('never sweeps twice at a time', async () => {
    const { sweeper, asked, answers } = sweeping();
    const { promise, resolve } = Promise.withResolvers<Swept>();
    answers.push(() => promise);
    await pass(FIRST);
    await pass(10 * PAUSE);
    assert.equal(asked.length, 1);
    resolve({ sessions: 0, more: false });
    await rounds();
    await pass(PAUSE);
    assert.equal(asked.length, 2);
    await sweeper.close();
  });

  it('tells of an outage once, tries again, and tells of the next one', async () => {
    const { sweeper, asked, answers, failures, swept } = sweeping();
    answers.push(answer(2, true), fail('first'), fail('second'), answer(0, false), fail('third'));
    const messages = () => failures.map((error) => (error as Error).message);
    await pass(FIRST);
    assert.deepEqual([messages(), swept], [['first'], [2]]);
    await pass(PAUSE);
    assert.equal(asked.length, 3);
    assert.deepEqual(messages(), ['first']);
    await pass(PAUSE);
    await pass(PAUSE);
    assert.equal(asked.length, 5);
    assert.deepEqual(messages(), ['first', 'third']);
    await sweeper.close();
  });

  it('closes after the batch under way, and begins no other', async () => {
    const { sweeper, asked, answers } = sweeping();
    const { promise, resolve } = Promise.withResolvers<Swept>();
    answers.push(() => promise);
    await pass(FIRST);
    let isClosed = false;
    const closed = sweeper.close().then(() => {
      isClosed = true;
    });
    await rounds();
    assert.equal(isClosed, false);
    resolve({ sessions: 1, more: true });
    await closed;
    await pass(10 * PAUSE);
    assert.equal(asked.length, 1);
  });

  it('closes before its first sweep, and after a failure', async () => {
    const early = sweeping();
    await early.sweeper.close();
    const failed = sweeping();
    failed.answers.push(fail('out'));
    await pass(FIRST);
    await failed.sweeper.close();
    await pass(10 * PAUSE);
    assert.deepEqual([early.asked.length, failed.asked.length], [0, 1]);
  });
});
