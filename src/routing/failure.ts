/**
 * The failure table: what each class of failure means for the rest of the turn and for the turns after it. The
 * rest of `routing/` acts on it; nothing else decides what a provider's failure is worth. `docs/failures.md`
 * shows the same table, held together by a test.
 */

import { AppError, type ErrorCode } from '../errors.ts';
import type { ProviderError, ProviderFailure } from '../providers/provider.ts';

/** The kinds of failure, with the end of the turn's own time apart from the clocks of an attempt. */
export type FailureClass = ProviderFailure | 'out_of_time';

export interface FailureRow {
  readonly happened: string;
  /**
   * Whether the same target is asked again, as long as the client has nothing of it: `once`, after a short pause;
   * `when_told`, after the time that the provider asks for, if no other target is ready.
   */
  readonly again: 'no' | 'once' | 'when_told';
  /** Whether another target is asked: no for the caller's own errors, which would fail there as well. */
  readonly next: 'yes' | 'larger_context' | 'no';
  /** The same once the client has seen something: `rescue` continues or repeats the answer elsewhere. */
  readonly afterTokens: 'rescue' | 'tell';
  /** What it says of the target's health. `rests`: none of its faults, but it wants to be left alone. */
  readonly breaker: 'no' | 'counts' | 'opens' | 'rests';
  /** What the client is told when the turn ends with it. */
  readonly code: ErrorCode;
}

export const failureTable: Readonly<Record<FailureClass, FailureRow>> = {
  unreachable: {
    happened: 'the connection was refused, or reset before the headers of the answer',
    again: 'once',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'counts',
    code: 'provider_error',
  },
  server_error: {
    happened: 'a status of 500 or above: 500, 502, 503, 504, 529',
    again: 'once',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'counts',
    code: 'provider_error',
  },
  timeout: {
    happened: 'a clock ran out: no connection, no first token, or no further token in time',
    again: 'no',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'counts',
    code: 'provider_timeout',
  },
  out_of_time: {
    happened: 'the clock of the whole turn ran out',
    again: 'no',
    next: 'no',
    afterTokens: 'tell',
    breaker: 'no',
    code: 'provider_timeout',
  },
  rate_limited: {
    happened: 'a status of 429',
    again: 'when_told',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'rests',
    code: 'provider_rate_limited',
  },
  unauthorized: {
    happened: 'a status of 401, 402 or 403: the key is wrong, out of credit, or not allowed',
    again: 'no',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'opens',
    code: 'provider_error',
  },
  model_not_found: {
    happened: 'a status of 404: the provider does not know the model',
    again: 'no',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'no',
    code: 'provider_error',
  },
  bad_request: {
    happened: "a status of 400, 422 or another of that family: the caller's own error",
    again: 'no',
    next: 'no',
    afterTokens: 'tell',
    breaker: 'no',
    code: 'provider_rejected_request',
  },
  context_length_exceeded: {
    happened: 'the conversation is longer than the model takes',
    again: 'no',
    next: 'larger_context',
    afterTokens: 'tell',
    breaker: 'no',
    code: 'context_length_exceeded',
  },
  content_filter: {
    happened: 'the content filter of the provider refused',
    again: 'no',
    next: 'no',
    afterTokens: 'tell',
    breaker: 'no',
    code: 'content_filtered',
  },
  invalid_answer: {
    happened:
      'a status of 200 with an error object, an error in the first event, invalid JSON, or no choices',
    again: 'once',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'counts',
    code: 'provider_error',
  },
  interrupted: {
    happened: 'the stream was cut, or brought an error, after it had begun',
    again: 'once',
    next: 'yes',
    afterTokens: 'rescue',
    breaker: 'counts',
    code: 'provider_error',
  },
  answer_too_large: {
    happened: 'the answer is longer than `ANSWER_MAX_BYTES`',
    again: 'no',
    next: 'yes',
    afterTokens: 'tell',
    breaker: 'no',
    code: 'provider_error',
  },
};

/** The row of what a provider threw or sent. */
export function rowOf(failure: ProviderError): FailureRow {
  return failureTable[classOf(failure)];
}

function classOf({ kind, clock }: ProviderError): FailureClass {
  return kind === 'timeout' && clock === 'turn' ? 'out_of_time' : kind;
}

/**
 * The error that ends a turn after these failures, oldest first. When they differ in what the client should be
 * told, none of them tells the whole, and the answer is `provider_error`. The provider's own words are passed
 * on only where the request itself was at fault.
 * @param restMilliseconds how long the first of the providers that limit still wants to be left alone; null if
 * none does
 */
export function turnFailure(
  failures: readonly [ProviderError, ...ProviderError[]],
  restMilliseconds: number | null,
): AppError {
  const last = failures.at(-1) ?? failures[0];
  const { next, code } = rowOf(last);
  const options = { cause: last };
  if (code === 'provider_timeout' && next === 'no') return new AppError(code, { clock: last.clock }, options);
  if (next !== 'yes') {
    const details =
      last.providerMessage === undefined ? undefined : { provider_message: last.providerMessage };
    return new AppError(code, details, options);
  }
  const alike = failures.every((failure) => rowOf(failure).code === code);
  if (!alike) return new AppError('provider_error', undefined, options);
  if (code === 'provider_timeout') return new AppError(code, { clock: last.clock }, options);
  if (code === 'provider_rate_limited') return rateLimited(restMilliseconds, options);
  return new AppError(code, undefined, options);
}

/**
 * The error of a turn whose providers all limit requests, with the seconds until the first of them takes some.
 * @param restMilliseconds as for `turnFailure`
 */
export function rateLimited(restMilliseconds: number | null, options?: { cause: unknown }): AppError {
  const seconds = Math.ceil((restMilliseconds ?? 0) / 1000);
  return new AppError('provider_rate_limited', { retry_after: Math.max(1, seconds) }, options);
}

/** How long a target is left alone that limits without saying for how long. */
const UNTOLD_REST_MILLISECONDS = 1000;

/** For how long a provider that limits asks to be left alone, in milliseconds. */
export function restOf({ retryAfterMilliseconds }: ProviderError): number {
  return retryAfterMilliseconds ?? UNTOLD_REST_MILLISECONDS;
}
