/**
 * What a turn costs its client in tokens: an estimate is taken from the client's buckets before the model is asked, and
 * put right by what was used when the turn is over. How buckets fill is the limiter's business.
 */

import type { TurnAllowance } from '../conversation/client.ts';
import type { TurnOutcome } from '../conversation/turn.ts';
import { countable } from '../conversation/usage.ts';
import { AppError } from '../errors.ts';
import type { Bucket, Limiter } from '../limits/limiter.ts';
import type { RoutedPrompt } from '../routing/route.ts';
import { type TokenEstimate, tokenEstimate } from '../sessions/tokens.ts';

export interface TokenCharge {
  /** Puts right what was taken. Never rejects. */
  settle(outcome: Pick<TurnOutcome, 'attempts' | 'output'>): Promise<void>;
}

/** Of a turn that is free of charge, or that was over before it was charged. */
export const NO_CHARGE: TokenCharge = { settle: async () => undefined };

/** What an answer is taken to be, in tokens, where the caller sets it no limit: a page and a half of text. */
const USUAL_OUTPUT_TOKENS = 1000;

/** The buckets from which a client's turns take their tokens, each at that cost; none without limits. */
export function tokenBuckets(owner: string, allowance: TurnAllowance, cost: number): Bucket[] {
  const { tokensPerMinute, tokensPerDay } = allowance;
  const common = { identity: owner, cost, unit: 'tokens' };
  return [
    ...(tokensPerMinute === null
      ? []
      : [{ ...common, limit: 'tokens_per_minute', rate: tokensPerMinute / 60, burst: tokensPerMinute }]),
    ...(tokensPerDay === null
      ? []
      : [{ ...common, limit: 'tokens_per_day', rate: 'daily' as const, burst: tokensPerDay }]),
  ];
}

/**
 * Takes what the turn is estimated to use. Throws `rate_limited`, and takes nothing, if the client has not that much.
 * @param model whose tokenizer estimates
 */
export async function chargeTokens(
  limiter: Limiter,
  { owner, allowance }: { owner: string; allowance: TurnAllowance },
  prompt: RoutedPrompt,
  model: string,
): Promise<TokenCharge> {
  if (tokenBuckets(owner, allowance, 0).length === 0) return NO_CHARGE;
  const estimate = await tokenEstimate(model);
  const input = inputTokens(prompt, estimate);
  const buckets = tokenBuckets(owner, allowance, input + outputTokens(prompt));
  const { allowed, retryAfterSeconds, buckets: states } = await limiter.take(buckets);
  if (!allowed)
    throw rateLimited(retryAfterSeconds, states.find(({ exhausted }) => exhausted)?.limit ?? null);
  return { settle: (outcome) => limiter.settle(buckets, usedTokens(outcome, input, estimate)) };
}

/** Throws `rate_limited` if the client has no tokens left. Takes none: what is used is settled with the turn. */
export async function checkTokens(
  limiter: Limiter,
  { owner, allowance }: { owner: string; allowance: TurnAllowance },
): Promise<void> {
  const buckets = tokenBuckets(owner, allowance, 0).map((one) => ({ ...one, need: 1 }));
  if (buckets.length === 0) return;
  const { allowed, retryAfterSeconds, buckets: states } = await limiter.take(buckets);
  if (!allowed)
    throw rateLimited(retryAfterSeconds, states.find(({ exhausted }) => exhausted)?.limit ?? null);
}

/** @param limit which one was exhausted @param retryAfter in seconds */
export function rateLimited(retryAfter: number, limit: string | null): AppError {
  return new AppError('rate_limited', { retry_after: retryAfter, limit });
}

function inputTokens({ instructions, items, options }: RoutedPrompt, estimate: TokenEstimate): number {
  const tools = options['tools'] === undefined ? '' : JSON.stringify(options['tools']);
  return estimate.text(instructions ?? '') + estimate.items(items) + estimate.text(tools);
}

/** What the answer may take: the caller's own limit, under either of its names. */
function outputTokens({ options }: RoutedPrompt): number {
  const most = options['max_completion_tokens'] ?? options['max_tokens'];
  return typeof most === 'number' && most >= 0 && most < Infinity ? most : USUAL_OUTPUT_TOKENS;
}

/** What every attempt used, failed ones included: by the provider's word, or estimated where it answered without one. */
function usedTokens(
  { attempts, output }: Pick<TurnOutcome, 'attempts' | 'output'>,
  input: number,
  estimate: TokenEstimate,
): number {
  let tokens = 0;
  for (const [index, { usage, firstTokenMilliseconds }] of attempts.entries()) {
    if (usage !== null) tokens += countable(usage.input_tokens) + countable(usage.output_tokens);
    else if (firstTokenMilliseconds !== null) {
      tokens += input + (index === attempts.length - 1 ? estimate.items(output) : 0);
    }
  }
  return tokens;
}
