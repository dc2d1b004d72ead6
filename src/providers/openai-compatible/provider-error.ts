/**
 * From what a provider says of a failure to its class in the failure table. What follows from the class is
 * `routing/`'s business.
 */

import type { Usage } from '../../conversation/usage.ts';
import { ProviderError, type ProviderFailure } from '../provider.ts';
import type { AnswerContext } from './answer-reader.ts';
import { nonEmpty, parseAnswer } from './chat-wire.ts';
import { retryAfterMilliseconds } from './retry-after.ts';

interface FailedAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As far as it was read. */
  body: string;
}

interface WireError {
  message?: unknown;
  /** A word of the dialect, or the HTTP status that the answer would have had. */
  code?: unknown;
  type?: unknown;
  metadata?: { reasons?: unknown; flagged_input?: unknown } | null;
}

/** The failure of an answer whose status is not a success. */
export function errorOfStatus(answer: FailedAnswer, redact: (text: string) => string): ProviderError {
  const error = wireError(parseAnswer(answer.body)?.error);
  return new ProviderError(kindOfWords(error) ?? kindOfStatus(answer.status), {
    status: answer.status,
    retryAfterMilliseconds: retryAfterMilliseconds(answer.headers, Date.now()),
    providerMessage: providerMessage(error, redact),
  });
}

/**
 * The failure that an error object inside a success tells of.
 *
 * @param begun whether the answer had begun: a request that was being answered was neither refused nor
 * invalid, so only what can end an answer keeps its name
 * @param usage what the answer had used by then, if it was told
 */
export function errorInAnswer(
  value: unknown,
  begun: boolean,
  context: Partial<Pick<AnswerContext, 'status'>> & Pick<AnswerContext, 'redact'>,
  usage: Usage | null = null,
): ProviderError {
  const error = wireError(value);
  const status = Number(error.code);
  const told =
    kindOfWords(error) ?? (status >= 400 && status < 500 ? kindOfStatus(status) : 'invalid_answer');
  return new ProviderError(begun && !canEndAnswer.has(told) ? 'interrupted' : told, {
    status: context.status,
    providerMessage: providerMessage(error, context.redact),
    usage: usage ?? undefined,
  });
}

const canEndAnswer: ReadonlySet<ProviderFailure> = new Set([
  'rate_limited',
  'context_length_exceeded',
  'content_filter',
]);

const kindOfCode: Readonly<Record<string, ProviderFailure>> = {
  context_length_exceeded: 'context_length_exceeded',
  // Of llama.cpp, which gives it as the type.
  exceed_context_size_error: 'context_length_exceeded',
  content_policy_violation: 'content_filter',
  content_filter: 'content_filter',
  model_not_found: 'model_not_found',
  rate_limit_exceeded: 'rate_limited',
};

function kindOfStatus(status: number): ProviderFailure {
  if (status >= 500) return 'server_error';
  if (status === 429) return 'rate_limited';
  if (status === 401 || status === 402 || status === 403) return 'unauthorized';
  if (status === 404) return 'model_not_found';
  // Below are redirects, which are not followed: a key goes nowhere but where the operator sent it.
  return status >= 400 ? 'bad_request' : 'invalid_answer';
}

/** The class that the error's own words give, which are more exact than a status; null if they give none. */
function kindOfWords({ code, type, message, metadata }: WireError): ProviderFailure | null {
  for (const word of [code, type]) {
    if (typeof word === 'string' && Object.hasOwn(kindOfCode, word)) return kindOfCode[word] ?? null;
  }
  // OpenRouter's moderation answers 403 like a bad key, and differs by these.
  if (metadata?.flagged_input || metadata?.reasons) return 'content_filter';
  // OpenRouter and vLLM give the code 400 alone, Anthropic gives none.
  const isTooLong = typeof message === 'string' && /maximum context length|prompt is too long/.test(message);
  return isTooLong ? 'context_length_exceeded' : null;
}

/** Some servers send the message alone instead of an object. */
function wireError(value: unknown): WireError {
  if (typeof value === 'string') return { message: value };
  return typeof value === 'object' && value !== null ? value : {};
}

function providerMessage({ message }: WireError, redact: (text: string) => string): string | undefined {
  const text = nonEmpty(message);
  return text === null ? undefined : redact(text);
}
