/** What a turn or an attempt consumed, in the JSON of the Open Responses specification. */

export interface Usage {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
  /** In the provider's currency (OpenRouter: US dollars), where the provider tells. */
  cost?: number;
}

/** A number of usage as it can be added up: providers may say anything, less than nothing and more than there is. */
export function countable(told: number): number {
  return told > 0 && told < Infinity ? told : 0;
}

/** What several attempts used together; null where no number is known. */
export function sumOfUsage(one: Usage | null, other: Usage | null): Usage | null {
  if (one === null || other === null) return one ?? other;
  const cost =
    one.cost === undefined && other.cost === undefined ? {} : { cost: (one.cost ?? 0) + (other.cost ?? 0) };
  return {
    input_tokens: one.input_tokens + other.input_tokens,
    input_tokens_details: {
      cached_tokens: one.input_tokens_details.cached_tokens + other.input_tokens_details.cached_tokens,
    },
    output_tokens: one.output_tokens + other.output_tokens,
    output_tokens_details: {
      reasoning_tokens:
        one.output_tokens_details.reasoning_tokens + other.output_tokens_details.reasoning_tokens,
    },
    total_tokens: one.total_tokens + other.total_tokens,
    ...cost,
  };
}
