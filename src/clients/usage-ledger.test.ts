import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { Attempt, Turn } from '../conversation/turn.ts';
import { addUsage, NO_USAGE, type UsageTotal } from '../conversation/usage-count.ts';
import { createUsageLedger } from './usage-ledger.ts';

const NOON = Date.parse('2026-11-25T12:00:00Z');
const DAY = 24 * 60 * 60 * 1000;

/** A store that keeps what is written as the contract says, and whose answers the test may give. */
function ledger(some: { keep?: number; most?: number } = {}) {
  const stored = new Map<string, UsageTotal>();
  const batches: number[] = [];
  const answers: (() => Promise<void>)[] = [];
  const failures: string[] = [];
  const usage = createUsageLedger({
    adminStore: {
      async saveUsage(totals) {
        batches.push(totals.length);
        await answers.shift()?.();
        for (const total of totals) {
          const { day, owner, provider, model, writer } = total;
          const key = [day, owner, provider, model, writer].join();
          assert.ok((stored.get(key)?.turns ?? 0) <= total.turns, 'a total never falls');
          stored.set(key, total);
        }
      },
      async readUsage({ from, to, owner }) {
        const sum = { day: null, owner: null, provider: null, model: null, ...NO_USAGE };
        for (const total of stored.values()) {
          if (total.owner === owner && total.day >= from && total.day <= to) addUsage(sum, total);
        }
        return { data: sum.turns === 0 ? [] : [sum], hasMore: false };
      },
    },
    onFailure: (error) => failures.push((error as Error).message),
    ...some,
  });
  const use = (owner: string, model = 'm', at = NOON) => usage.note(owner, turnWith(model, at));
  /** Turns in the store, by day and owner. */
  const turns = () => {
    const sums: Record<string, number> = {};
    for (const { day, owner, turns } of stored.values()) {
      sums[`${day} ${owner}`] = (sums[`${day} ${owner}`] ?? 0) + turns;
    }
    return sums;
  };
  return { usage, use, turns, stored, batches, answers, failures };
}

function turnWith(model: string, completedAt: number): Pick<Turn, 'attempts' | 'createdAt' | 'completedAt'> {
  const attempt: Attempt = {
    provider: 'p',
    model,
    status: 'completed',
    error: null,
    startedAt: 1,
    firstTokenMilliseconds: 1,
    milliseconds: 1,
    usage: {
      input_tokens: 3,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 5,
    },
  };
  return { attempts: [attempt], createdAt: completedAt - 1, completedAt };
}

const fail = (message: string) => () => Promise.reject(new Error(message));

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  for (let round = 0; round < 3; round += 1) await new Promise(setImmediate);
}

describe('the ledger of usage', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval', 'Date'], now: NOON }));
  afterEach(() => mock.timers.reset());

  it('writes what has changed every second, as totals, and only if something has', async () => {
    const { usage, use, stored, batches } = ledger();
    use('a');
    use('a');
    use('b');
    await pass(999);
    assert.deepEqual(batches, []);
    await pass(1);
    assert.deepEqual(batches, [2]);
    use('a');
    await pass(1000);
    await pass(1000);
    assert.deepEqual(batches, [2, 1]);
    const numbers = { turns: 3, attempts: 3, inputTokens: 9, outputTokens: 6 };
    const place = { day: '2026-11-25', owner: 'a', provider: 'p', model: 'm' };
    const total = [...stored.values()].find(({ owner }) => owner === 'a');
    assert.deepEqual(total, { ...place, writer: total?.writer, ...NO_USAGE, ...numbers });
    await usage.close();
  });

  it('writes the rest when it closes, and nothing afterwards', async () => {
    const { usage, use, turns, batches } = ledger();
    use('a');
    await usage.close();
    assert.deepEqual(turns(), { '2026-11-25 a': 1 });
    await pass(5000);
    assert.equal(batches.length, 1);
  });

  it('rejects the closing if the rest cannot be written', async () => {
    const { usage, use, answers } = ledger();
    answers.push(fail('out'));
    use('a');
    await assert.rejects(usage.close(), /out/);
  });

  it('forgets nothing while the store is out, which is told once, and again when it comes again', async () => {
    const { usage, use, turns, answers, failures } = ledger();
    answers.push(fail('first'), fail('second'));
    use('a');
    await pass(1000);
    use('a');
    use('b');
    await pass(1000);
    assert.deepEqual(turns(), {});
    await pass(1000);
    assert.deepEqual(turns(), { '2026-11-25 a': 2, '2026-11-25 b': 1 });
    assert.deepEqual(failures, ['first']);
    answers.push(fail('third'));
    use('a');
    await pass(1000);
    assert.deepEqual(failures, ['first', 'third']);
    await usage.close();
    assert.deepEqual(turns(), { '2026-11-25 a': 3, '2026-11-25 b': 1 });
  });

  it('counts what comes while it writes for the next time', async () => {
    const { usage, use, turns, answers } = ledger();
    const { promise, resolve } = Promise.withResolvers<void>();
    answers.push(() => promise);
    use('a');
    await pass(1000);
    use('a');
    await pass(3000);
    const closed = usage.close();
    resolve();
    await closed;
    assert.deepEqual(turns(), { '2026-11-25 a': 2 });
  });

  it('writes a few hundred at once', async () => {
    const { usage, use, batches } = ledger();
    for (let index = 0; index < 1200; index += 1) use(`owner ${index}`);
    await usage.close();
    assert.deepEqual(batches, [500, 500, 200]);
  });

  it('counts a turn on the day of its end, and drops days that are over, late ones counted right', async () => {
    const { usage, use, turns, stored } = ledger();
    use('a');
    await pass(1000);
    mock.timers.setTime(NOON + DAY);
    await pass(1000);
    use('a', 'm', NOON);
    use('a', 'm', NOON + DAY);
    await pass(1000);
    assert.deepEqual(turns(), { '2026-11-25 a': 2, '2026-11-26 a': 1 });
    // The late one came when its day's total was dropped: no writer takes up what it has laid down.
    assert.equal(new Set([...stored.values()].map(({ writer }) => writer)).size, 2);
    await usage.close();
  });

  it('keeps a bounded number of totals, and counts on under another id', async () => {
    const { usage, use, turns, stored } = ledger({ keep: 3 });
    for (let round = 0; round < 5; round += 1) {
      for (const owner of ['a', 'b', 'c', 'd']) use(owner);
      await pass(1000);
    }
    await usage.close();
    assert.deepEqual(Object.values(turns()), [5, 5, 5, 5]);
    assert.equal(stored.size, 20, 'each round was written by another');
  });

  it('drops nothing that is not written yet', async () => {
    const { usage, use, turns, answers } = ledger({ keep: 1 });
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const owner of ['a', 'b', 'c']) use(owner);
    answers.push(() => promise);
    await pass(1000);
    use('a');
    resolve();
    await pass(0);
    use('a');
    use('b');
    await usage.close();
    assert.deepEqual(turns(), { '2026-11-25 a': 3, '2026-11-25 b': 2, '2026-11-25 c': 1 });
  });

  it('says so when it has no place left, and goes on with those that it has', async () => {
    const { usage, use, turns, answers, failures } = ledger({ keep: 1, most: 2 });
    answers.push(fail('out'));
    use('a');
    use('b');
    await pass(1000);
    use('c');
    use('a');
    await usage.close();
    assert.deepEqual(turns(), { '2026-11-25 a': 2, '2026-11-25 b': 1 });
    assert.deepEqual(failures, ['out']);
    const full = ledger({ most: 1 });
    full.use('a');
    full.use('b');
    full.use('c');
    assert.equal(full.failures.length, 1);
    assert.match(full.failures[0]!, /forgotten/);
    await full.usage.close();
  });

  it('tells what an owner has used today, what is not written yet included, and nothing of others or before', async () => {
    const { usage, use, answers } = ledger();
    use('a', 'm', NOON - DAY);
    use('b');
    assert.equal(await usage.usedToday('a'), 0);
    use('a', 'm1');
    await pass(1000);
    const [one] = [await usage.usedToday('b')];
    assert.ok(one > 0);
    use('a', 'm2');
    assert.equal(await usage.usedToday('a'), 2 * one);
    use('a', 'm2');
    answers.push(fail('out'));
    await assert.rejects(usage.usedToday('a'), /out/);
    assert.equal(await usage.usedToday('a'), 3 * one);
    await usage.close();
  });

  it('asks a store that is silent once more at most, however many want to know', async () => {
    const { usage, use, answers, batches, failures } = ledger();
    const silences = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    answers.push(
      ...silences.map(
        ({ promise }) =>
          () =>
            promise,
      ),
    );
    use('a');
    await pass(60_000);
    const asked = Array.from({ length: 20 }, () => assert.rejects(usage.usedToday('a'), /second/));
    silences[0]!.reject(new Error('first'));
    await pass(60_000);
    silences[1]!.reject(new Error('second'));
    await Promise.all(asked);
    assert.deepEqual([batches, failures], [[1, 1], ['first']]);
    await usage.close();
  });

  it('adds up to what was used, whatever fails in between', async () => {
    const { usage, use, turns, answers, stored } = ledger({ keep: 2 });
    const owners = ['a', 'b', 'c'];
    const expected: Record<string, number> = {};
    for (let step = 0; step < 300; step += 1) {
      const owner = owners[(step * 7) % 3]!;
      const at = NOON + Math.floor(step / 100) * DAY;
      mock.timers.setTime(at);
      use(owner, `m${step % 2}`, at);
      const key = `${new Date(at).toISOString().slice(0, 10)} ${owner}`;
      expected[key] = (expected[key] ?? 0) + 1;
      if (step % 5 === 0) answers.push(fail('out'));
      if (step % 3 === 0) await pass(1000);
    }
    answers.length = 0;
    await usage.close();
    assert.deepEqual(turns(), expected);
    const sum = { ...NO_USAGE };
    for (const total of stored.values()) addUsage(sum, total);
    assert.deepEqual([sum.attempts, sum.inputTokens], [300, 900]);
  });
});
