/** Sums of usage, told apart by whatever is asked for, made in one pass over what was counted. It reads nothing. */

import type { Page } from './page.ts';
import { addUsage, NO_USAGE, type UsageCount, type UsagePlace, type UsageSum } from './usage-count.ts';

export interface UsageSums {
  add(counted: UsagePlace & UsageCount): void;
  /** In the order of day, owner, provider and model. `hasMore`: there was no place for others. */
  page(): Page<UsageSum>;
}

/**
 * @param by what to tell apart; nothing makes one sum of all
 * @param limit how many sums at most, which bounds the memory: of those that are made nothing is missing
 */
export function createUsageSums(by: readonly (keyof UsagePlace)[], limit: number): UsageSums {
  const sums = new Map<string, UsageSum>();
  const parts = new Set(by);
  let hasMore = false;
  return { add, page };

  function add(counted: UsagePlace & UsageCount): void {
    const place = {
      day: parts.has('day') ? counted.day : null,
      owner: parts.has('owner') ? counted.owner : null,
      provider: parts.has('provider') ? counted.provider : null,
      model: parts.has('model') ? counted.model : null,
    };
    const name = JSON.stringify(Object.values(place));
    let sum = sums.get(name);
    if (sum === undefined) {
      hasMore ||= sums.size === limit;
      if (sums.size === limit) return;
      sum = { ...place, ...NO_USAGE };
      sums.set(name, sum);
    }
    addUsage(sum, counted);
  }

  function page(): Page<UsageSum> {
    return { data: [...sums.values()].sort(inOrder), hasMore };
  }
}

function inOrder(one: UsageSum, other: UsageSum): number {
  for (const part of ['day', 'owner', 'provider', 'model'] as const) {
    const [first, second] = [one[part] ?? '', other[part] ?? ''];
    if (first !== second) return first < second ? -1 : 1;
  }
  return 0;
}
