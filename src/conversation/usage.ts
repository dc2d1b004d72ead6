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
