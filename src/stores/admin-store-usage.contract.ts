/** What clients have used, in the store: the sentences of admin-store.ts as tests. */

import assert from 'node:assert/strict';
import { NO_USAGE, type UsageCount, type UsageSum, type UsageTotal } from '../conversation/usage-count.ts';
import type { UsageQuery } from './admin-store.ts';
import type { Sentence } from './admin-store-samples.contract.ts';

export function sampleTotal(change: Partial<UsageTotal> = {}): UsageTotal {
  const place = { day: '2026-11-25', owner: 'shop', provider: 'openai', model: 'gpt', writer: 'w1' };
  return { ...place, ...NO_USAGE, turns: 1, attempts: 1, inputTokens: 10, outputTokens: 5, ...change };
}

const PLACES = ['day', 'owner', 'provider', 'model'] as const;

const DAY: UsageQuery = { from: '2026-11-25', to: '2026-11-25', owner: null, by: PLACES, limit: 100 };
const NOWHERE = { day: null, owner: null, provider: null, model: null };

function sumOf(total: UsageTotal): UsageSum {
  const { writer: _, ...sum } = total;
  return sum;
}

const counts = (change: Partial<UsageCount>) => ({ ...NO_USAGE, ...change });

export const usageTests: Sentence[] = [
  [
    'usage comes back as it was written, fractions included, in the order of its places',
    async (admin) => {
      const cost = { cost: 0.125, inputTokens: 1.5, cachedTokens: 0.5, reasoningTokens: 2 };
      const totals = [
        sampleTotal({ owner: 'a', model: 'x' }),
        sampleTotal({ owner: 'b', provider: 'demo', ...cost }),
        sampleTotal({ owner: 'b' }),
        sampleTotal({ owner: 'Ünïcode "\u{1f600}"' }),
      ];
      await admin.saveUsage(totals.toReversed());
      await admin.saveUsage([]);
      const expected = totals.map(sumOf);
      assert.deepEqual(await admin.readUsage(DAY), { data: expected, hasMore: false });
    },
  ],
  [
    'totals that are written again are not added, and never fall',
    async (admin) => {
      const early = sampleTotal();
      const late = sampleTotal({ turns: 3, attempts: 4, inputTokens: 30, outputTokens: 15, cost: 0.5 });
      for (const total of [early, early, late, early, late]) await admin.saveUsage([total]);
      assert.deepEqual((await admin.readUsage(DAY)).data, [sumOf(late)]);
    },
  ],
  [
    'what several writers have counted in one place is added, also when they write at the same time',
    async (admin) => {
      const writers = Array.from({ length: 10 }, (_, index) => sampleTotal({ writer: `w${index}` }));
      await Promise.all(writers.map((total) => admin.saveUsage([total])));
      const [sum] = (await admin.readUsage(DAY)).data;
      assert.deepEqual([sum?.turns, sum?.inputTokens], [10, 100]);
    },
  ],
  [
    'usage is told apart by what is asked for, and summed over the rest',
    async (admin) => {
      await admin.saveUsage([
        sampleTotal({ day: '2026-11-24', model: 'x' }),
        sampleTotal(),
        sampleTotal({ owner: 'desk' }),
        sampleTotal({ owner: 'desk', provider: 'demo' }),
      ]);
      const read = async (by: UsageQuery['by']) => {
        const { data } = await admin.readUsage({ ...DAY, from: '2026-11-24', by });
        return data.map((sum) => [...by.map((part) => sum[part]), sum.turns]);
      };
      assert.deepEqual(await read([]), [[4]]);
      assert.deepEqual(await read(['day']), [
        ['2026-11-24', 1],
        ['2026-11-25', 3],
      ]);
      assert.deepEqual(await read(['owner', 'provider']), [
        ['desk', 'demo', 1],
        ['desk', 'openai', 1],
        ['shop', 'openai', 2],
      ]);
      assert.deepEqual(await read(['model']), [
        ['gpt', 3],
        ['x', 1],
      ]);
      const everything = await admin.readUsage({ ...DAY, from: '2026-11-24', by: [] });
      const sum = counts({ turns: 4, attempts: 4, inputTokens: 40, outputTokens: 20 });
      assert.deepEqual(everything.data, [{ ...NOWHERE, ...sum }]);
    },
  ],
  [
    'only the days from the first to the last are read, and of one owner if one is named',
    async (admin) => {
      const days = ['2026-10-31', '2026-11-01', '2026-11-30', '2026-12-01'];
      for (const day of days) await admin.saveUsage([sampleTotal({ day }), sampleTotal({ day, owner: 'b' })]);
      const read = async (query: Partial<UsageQuery>) => {
        const { data } = await admin.readUsage({ ...DAY, by: ['day', 'owner'], ...query });
        return data.map(({ day, owner }) => `${day} ${owner}`);
      };
      const november = { from: '2026-11-01', to: '2026-11-30' };
      assert.deepEqual(await read({ ...november, owner: 'b' }), ['2026-11-01 b', '2026-11-30 b']);
      assert.equal((await read(november)).length, 4);
      assert.deepEqual(await read({ ...november, owner: 'c' }), []);
      assert.deepEqual(await read({ from: '2026-11-30', to: '2026-11-01' }), []);
    },
  ],
  [
    'no more sums are made than asked for, and of those that are nothing is missing',
    async (admin) => {
      const totals = ['a', 'b', 'c'].map((owner) => sampleTotal({ owner }));
      await admin.saveUsage([...totals, ...totals.map((total) => ({ ...total, writer: 'w2' }))]);
      const three = await admin.readUsage({ ...DAY, by: ['owner'], limit: 3 });
      assert.deepEqual([three.data.map(({ turns }) => turns), three.hasMore], [[2, 2, 2], false]);
      const two = await admin.readUsage({ ...DAY, by: ['owner'], limit: 2 });
      assert.deepEqual([two.data.map(({ turns }) => turns), two.hasMore], [[2, 2], true]);
    },
  ],
  [
    'thousands of places are read to the last',
    async (admin) => {
      const totals = Array.from({ length: 2500 }, (_, index) =>
        sampleTotal({ model: `m${index % 1250}`, writer: `w${index}` }),
      );
      for (let start = 0; start < totals.length; start += 500) {
        await admin.saveUsage(totals.slice(start, start + 500));
      }
      for (const owner of [null, 'shop']) {
        const { data } = await admin.readUsage({ ...DAY, owner, by: ['model'], limit: 2000 });
        assert.equal(data.length, 1250);
        assert.ok(data.every(({ turns }) => turns === 2));
      }
    },
  ],
];
