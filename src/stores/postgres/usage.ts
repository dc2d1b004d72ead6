/** What clients have used, on PostgreSQL: written as totals, summed over writers by the database, day by day. */

import { countDays, dayAfter } from '../../conversation/day.ts';
import type { Page } from '../../conversation/page.ts';
import type { UsagePlace, UsageSum, UsageTotal } from '../../conversation/usage-count.ts';
import { createUsageSums } from '../../conversation/usage-sums.ts';
import type { UsageQuery } from '../admin-store.ts';
import type { Connections, Statement } from './connections.ts';
import { fromText, toText } from './rows.ts';

const NUMBERS = [
  'turns',
  'attempts',
  'input_tokens',
  'output_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'cost',
] as const;
const PLACES = ['owner', 'provider', 'model'] as const;

type UsageRow = Record<(typeof NUMBERS)[number], number> & Partial<Record<(typeof PLACES)[number], string>>;

/** @param schema its quoted name */
export function createPostgresUsage({ run }: Connections, schema: string) {
  // In the order of their keys, and each once.
  const putTotals: Statement<never> = {
    name: 'save_usage',
    text: `INSERT INTO ${schema}.usage AS u (day, owner, provider, model, writer, ${NUMBERS.join(', ')})
      SELECT day, owner, provider, model, writer, ${NUMBERS.map((name) => `max(${name})`).join(', ')}
      FROM json_populate_recordset(NULL::${schema}.usage, $1)
      GROUP BY day, owner, provider, model, writer ORDER BY day, owner, provider, model, writer
      ON CONFLICT (day, owner, provider, model, writer)
      DO UPDATE SET ${NUMBERS.map((name) => `${name} = greatest(u.${name}, excluded.${name})`).join(', ')}`,
  };

  return { save, read };

  async function save(totals: readonly UsageTotal[]): Promise<void> {
    await run(putTotals, JSON.stringify(totals.map(totalRow)));
  }

  /** One statement for each day: none of them takes longer for there being many days. */
  async function read({ from, to, owner, by, limit }: UsageQuery): Promise<Page<UsageSum>> {
    const sums = createUsageSums(by, limit);
    const statement = sumsOfDay(by, owner !== null);
    const days = countDays(from, to);
    for (let index = 0; index < days; index += 1) {
      const day = dayAfter(from, index);
      const rows = await (owner === null ? run(statement, day) : run(statement, day, toText(owner)));
      for (const row of rows) sums.add(counted(day, row));
    }
    return sums.page();
  }

  function sumsOfDay(by: readonly (keyof UsagePlace)[], hasOwner: boolean): Statement<UsageRow> {
    const places = PLACES.filter((place) => by.includes(place));
    const columns = [...places, ...NUMBERS.map((name) => `sum(${name}) AS ${name}`)];
    const grouped =
      places.length === 0
        ? 'HAVING count(*) > 0'
        : `GROUP BY ${places.join(', ')} ORDER BY ${places.join(', ')}`;
    return {
      name: `usage_by_${places.join('_')}${hasOwner ? '_of_owner' : ''}`,
      text: `SELECT ${columns.join(', ')} FROM ${schema}.usage
        WHERE day = $1 ${hasOwner ? 'AND owner = $2' : ''} ${grouped}`,
    };
  }
}

function totalRow({ day, owner, provider, model, writer, ...numbers }: UsageTotal) {
  return {
    day,
    owner: toText(owner),
    provider: toText(provider),
    model: toText(model),
    writer,
    turns: numbers.turns,
    attempts: numbers.attempts,
    input_tokens: numbers.inputTokens,
    output_tokens: numbers.outputTokens,
    cached_tokens: numbers.cachedTokens,
    reasoning_tokens: numbers.reasoningTokens,
    cost: numbers.cost,
  };
}

/** Places that were not asked for are empty: nobody looks at them. */
function counted(day: string, row: UsageRow) {
  const { owner = '""', provider = '""', model = '""', turns, attempts, cost } = row;
  return {
    day,
    owner: fromText(owner),
    provider: fromText(provider),
    model: fromText(model),
    turns,
    attempts,
    inputTokens: row.input_tokens,
    outputTokens: row.output_tokens,
    cachedTokens: row.cached_tokens,
    reasoningTokens: row.reasoning_tokens,
    cost,
  };
}
