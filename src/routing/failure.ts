/**
 * The failure table: what each class of failure means for the rest of the turn. `route.ts` acts on it; nothing
 * else decides what a provider's failure is worth.
 */

import { AppError, type ErrorCode } from '../errors.ts';
import type { ProviderError, ProviderFailure } from '../providers/provider.ts';

interface FailureRow {
  /** Whether the next target may be asked: no for the caller's own errors, which would fail there as well. */
  readonly nextTarget: boolean;
  /** What the client is told when the turn ends with it. */
  readonly code: ErrorCode;
}

const row = (nextTarget: boolean, code: ErrorCode): FailureRow => ({ nextTarget, code });

const failureTable: Record<ProviderFailure, FailureRow> = {
  unreachable: row(true, 'provider_error'),
  server_error: row(true, 'provider_error'),
  timeout: row(true, 'provider_timeout'),
  rate_limited: row(true, 'provider_rate_limited'),
  unauthorized: row(true, 'provider_error'),
  model_not_found: row(true, 'provider_error'),
  invalid_answer: row(true, 'provider_error'),
  interrupted: row(true, 'provider_error'),
  bad_request: row(false, 'provider_rejected_request'),
  context_length_exceeded: row(false, 'context_length_exceeded'),
  content_filter: row(false, 'content_filtered'),
};

/** Whether another target may be asked after this failure, as long as the client has seen nothing. */
export function allowsNextTarget(failure: ProviderError): boolean {
  return failureTable[failure.kind].nextTarget;
}

/**
 * The error that ends a turn after these failures, oldest first. When they differ in what the client should be
 * told, none of them tells the whole, and the answer is `provider_error`. The provider's own words are passed
 * on only where the request itself was at fault.
 */
export function turnFailure(failures: readonly [ProviderError, ...ProviderError[]]): AppError {
  const last = failures.at(-1) ?? failures[0];
  const { nextTarget, code } = failureTable[last.kind];
  if (!nextTarget) {
    const details =
      last.providerMessage === undefined ? undefined : { provider_message: last.providerMessage };
    return new AppError(code, details, { cause: last });
  }
  const alike = failures.every((failure) => failureTable[failure.kind].code === code);
  if (!alike) return new AppError('provider_error', undefined, { cause: last });
  const details = code === 'provider_rate_limited' ? soonestRetry(failures) : undefined;
  return new AppError(code, details, { cause: last });
}

/** Providers that limit without saying for how long do it by the minute or less. */
const UNTOLD_RETRY_SECONDS = 5;

/** In how many seconds the first of the providers takes requests again. */
function soonestRetry(failures: readonly ProviderError[]): { retry_after: number } {
  const waits = failures.flatMap(({ retryAfterMilliseconds }) => retryAfterMilliseconds ?? []);
  const seconds = waits.length === 0 ? UNTOLD_RETRY_SECONDS : Math.ceil(Math.min(...waits) / 1000);
  return { retry_after: seconds };
}
