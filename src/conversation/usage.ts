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
