/** What clients have used, added up by day, client, provider and model. */

/** By what usage is told apart. */
export interface UsagePlace {
  /** In UTC, `YYYY-MM-DD`: the day on which the turn ended. */
  day: string;
  /** The client whose turn it was. */
  owner: string;
  provider: string;
  model: string;
}

export interface UsageCount {
  /** Each turn counts once: for the model that answered, or was the last to use something. */
  turns: number;
  attempts: number;
  inputTokens: number;
  outputTokens: number;
  /** Part of `inputTokens`. */
  cachedTokens: number;
  /** Part of `outputTokens`. */
  reasoningTokens: number;
  /** In the providers' currency; of those that do not tell, none. */
  cost: number;
}

/** What one writer, a process, has counted in one place since it began to. */
export interface UsageTotal extends UsagePlace, UsageCount {
  writer: string;
}

/** Usage of all writers, told apart by some of its places; the others are null. */
export type UsageSum = { [Part in keyof UsagePlace]: UsagePlace[Part] | null } & UsageCount;

export const NO_USAGE: UsageCount = {
  turns: 0,
  attempts: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
  cost: 0,
};

/** Adds the other's numbers to the sum's. */
export function addUsage(sum: UsageCount, other: UsageCount): void {
  sum.turns += other.turns;
  sum.attempts += other.attempts;
  sum.inputTokens += other.inputTokens;
  sum.outputTokens += other.outputTokens;
  sum.cachedTokens += other.cachedTokens;
  sum.reasoningTokens += other.reasoningTokens;
  sum.cost += other.cost;
}
