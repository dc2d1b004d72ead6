/** What a turn that is over has used, by provider and model. It keeps nothing. */

import type { Attempt, Turn } from '../conversation/turn.ts';
import { countable } from '../conversation/usage.ts';
import { addUsage, NO_USAGE, type UsageCount, type UsagePlace } from '../conversation/usage-count.ts';

export type ModelUsage = Pick<UsagePlace, 'provider' | 'model'> & UsageCount;

/** What one attempt may be said to have used: with more than this, sums would be no numbers any more. */
const MOST = Number.MAX_SAFE_INTEGER;

/**
 * One element for each model that has answered, or of which the provider tells what it took. Others are left out: what
 * nobody answers to is a name that a caller has made up, and those are without number.
 */
export function usageOfTurn({ attempts }: Pick<Turn, 'attempts'>): ModelUsage[] {
  const used = new Map<string, ModelUsage>();
  let last: ModelUsage | undefined;
  for (const attempt of attempts.filter(hasUsed)) {
    const { provider, model } = attempt;
    const name = JSON.stringify([provider, model]);
    last = used.get(name) ?? { provider, model, ...NO_USAGE };
    addUsage(last, countOf(attempt));
    used.set(name, last);
  }
  if (last !== undefined) last.turns = 1;
  return [...used.values()];
}

function hasUsed({ status, usage }: Attempt): boolean {
  return status === 'completed' || usage !== null;
}

function countOf({ usage }: Attempt): UsageCount {
  if (usage === null) return { ...NO_USAGE, attempts: 1 };
  return {
    turns: 0,
    attempts: 1,
    inputTokens: told(usage.input_tokens),
    outputTokens: told(usage.output_tokens),
    cachedTokens: told(usage.input_tokens_details.cached_tokens),
    reasoningTokens: told(usage.output_tokens_details.reasoning_tokens),
    cost: told(usage.cost ?? 0),
  };
}

function told(number: number): number {
  return Math.min(countable(number), MOST);
}
