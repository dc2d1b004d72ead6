/** What clients have used. The statements are steps inside a transaction; reading goes step by step between others. */

import { setImmediate as nextRound } from 'node:timers/promises';
import { countDays, dayAfter } from '../../conversation/day.ts';
import type { Page } from '../../conversation/page.ts';
import type { UsageCount, UsagePlace, UsageSum, UsageTotal } from '../../conversation/usage-count.ts';
import { createUsageSums } from '../../conversation/usage-sums.ts';
import type { UsageQuery } from '../admin-store.ts';
import type { Database } from './database.ts';
import type { GroupCommit } from './group-commit.ts';
import type { UsageRow } from './rows.ts';

/** Rows that are read at once: a millisecond or two. */
const AT_ONCE = 1000;

const NUMBERS = [
  'turns',
  'attempts',
  'input_tokens',
  'output_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'cost',
];
const READ = `SELECT owner, provider, model, writer, ${NUMBERS.join(', ')} FROM usage WHERE day = ?`;

export function createSqliteUsage(database: Database, commits: GroupCommit) {
  const putTotal = database.prepare(
    `INSERT INTO usage (day, owner, provider, model, writer, ${NUMBERS.join(', ')})
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET ${NUMBERS.map((name) => `${name} = max(${name}, excluded.${name})`).join(', ')}`,
  );
  const ofAll = database.prepare<UsageRow>(
    `${READ} AND (owner, provider, model, writer) > (?, ?, ?, ?) ORDER BY owner, provider, model, writer LIMIT ?`,
  );
  const ofOwner = database.prepare<UsageRow>(
    `${READ} AND owner = ? AND (provider, model, writer) > (?, ?, ?) ORDER BY provider, model, writer LIMIT ?`,
  );

  return { save, read };

  function save(totals: readonly UsageTotal[]): void {
    for (const total of totals) {
      const { day, owner, provider, model, writer, turns, attempts } = total;
      const { inputTokens, outputTokens, cachedTokens, reasoningTokens, cost } = total;
      const tokens = [inputTokens, outputTokens, cachedTokens, reasoningTokens] as const;
      putTotal.run(day, owner, provider, model, writer, turns, attempts, ...tokens, cost);
    }
  }

  async function read({ from, to, owner, by, limit }: UsageQuery): Promise<Page<UsageSum>> {
    const sums = createUsageSums(by, limit);
    const days = countDays(from, to);
    for (let index = 0; index < days; index += 1) {
      const day = dayAfter(from, index);
      for await (const row of rowsOf(day, owner)) sums.add(counted(day, row));
    }
    return sums.page();
  }

  async function* rowsOf(day: string, owner: string | null): AsyncGenerator<UsageRow> {
    let last: readonly [string, string, string, string] = ['', '', '', ''];
    for (;;) {
      const [lastOwner, ...rest] = last;
      const rows = await commits.read(() =>
        owner === null
          ? ofAll.all(day, lastOwner, ...rest, AT_ONCE)
          : ofOwner.all(day, owner, ...rest, AT_ONCE),
      );
      yield* rows;
      const end = rows.at(-1);
      if (end === undefined || rows.length < AT_ONCE) return;
      last = [end[0], end[1], end[2], end[3]];
      await nextRound();
    }
  }
}

function counted(day: string, row: UsageRow): UsagePlace & UsageCount {
  const [owner, provider, model, , turns, attempts] = row;
  const [, , , , , , inputTokens, outputTokens, cachedTokens, reasoningTokens, cost] = row;
  return {
    day,
    owner,
    provider,
    model,
    turns,
    attempts,
    inputTokens,
    outputTokens,
    cachedTokens,
    reasoningTokens,
    cost,
  };
}
