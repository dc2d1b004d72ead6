/**
 * What is read of the chat dialect's JSON, whole answers and pieces alike. Nothing of a provider is trusted: each
 * field is checked where it is read, and what is not read may be anything.
 */

import type { FinishReason } from '../../conversation/turn.ts';
import type { Usage } from '../../conversation/usage.ts';

/** A whole answer, or one event of a stream. */
export interface WireAnswer {
  model?: unknown;
  choices?: unknown;
  usage?: unknown;
  error?: unknown;
}

export interface WireChoice {
  index?: unknown;
  /** Of a piece. */
  delta?: WireMessage | null;
  /** Of a whole answer. */
  message?: WireMessage | null;
  finish_reason?: unknown;
  error?: unknown;
}

export interface WireMessage {
  content?: unknown;
  refusal?: unknown;
  reasoning_content?: unknown;
  reasoning?: unknown;
  tool_calls?: unknown;
  /** What `tool_calls` was before it could hold more than one. */
  function_call?: unknown;
  /** Not read, but known to be there. */
  audio?: unknown;
  images?: unknown;
}

export interface WireToolCall {
  index?: unknown;
  id?: unknown;
  function?: { name?: unknown; arguments?: unknown } | null;
}

/** The answer in a JSON text, or null if it is not a JSON object. */
export function parseAnswer(text: string): WireAnswer | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

/** The first choice; others exist where the caller asked for several, and a turn has one answer. */
export function firstChoice({ choices }: WireAnswer): WireChoice | null {
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (typeof choice !== 'object' || choice === null) return null;
  const { index } = choice as WireChoice;
  return typeof index === 'number' && index !== 0 ? null : choice;
}

/** Whether there is a choice beside the first, as where the caller asked for several. */
export function isOfSeveral({ choices }: WireAnswer): boolean {
  return Array.isArray(choices) && choices.some((choice: unknown) => Number(Object(choice).index ?? 0) > 0);
}

/** The text, or null where there is none. */
export function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** The two names under which providers send reasoning text; some send it under both. */
export function reasoningOf(message: WireMessage): string | null {
  return nonEmpty(message.reasoning_content) ?? nonEmpty(message.reasoning);
}

/** The calls, or pieces of calls, in a message; what cannot be one is left out. */
export function toolCallsOf(message: WireMessage): readonly WireToolCall[] {
  if (Array.isArray(message.tool_calls)) {
    return message.tool_calls.filter((call: unknown) => typeof call === 'object' && call !== null);
  }
  const call = message.function_call;
  return typeof call === 'object' && call !== null ? [{ index: 0, function: call }] : [];
}

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
  function_call: 'tool_calls',
  // Words of servers that are compatible but for these.
  eos_token: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
};

/** `error` if the provider gave up; null while nothing is said. */
export function readFinishReason(value: unknown): FinishReason | 'error' | null {
  const reason = nonEmpty(value);
  if (reason === null || reason === 'error') return reason;
  // A reason that nobody knows does not promise a whole answer.
  return Object.hasOwn(finishReasons, reason) ? (finishReasons[reason] ?? 'length') : 'length';
}

/**
 * The reason of an answer with calls: some servers say `stop` beside them, and OpenAI does where the caller
 * demanded the call. Without any reason the provider has said by other means that the answer is whole.
 */
export function settledReason(reason: FinishReason | null, calls: number): FinishReason {
  return calls > 0 && (reason === null || reason === 'stop') ? 'tool_calls' : (reason ?? 'stop');
}

interface WireUsage {
  prompt_tokens?: unknown;
  completion_tokens?: unknown;
  total_tokens?: unknown;
  prompt_tokens_details?: { cached_tokens?: unknown } | null;
  completion_tokens_details?: { reasoning_tokens?: unknown } | null;
  cost?: unknown;
}

/** Null where the provider says nothing that can be counted. */
export function readUsage(value: unknown): Usage | null {
  if (typeof value !== 'object' || value === null) return null;
  const wire: WireUsage = value;
  if (typeof wire.prompt_tokens !== 'number' && typeof wire.completion_tokens !== 'number') return null;
  const input = count(wire.prompt_tokens);
  const output = count(wire.completion_tokens);
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: count(wire.prompt_tokens_details?.cached_tokens) },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: count(wire.completion_tokens_details?.reasoning_tokens) },
    total_tokens: typeof wire.total_tokens === 'number' ? wire.total_tokens : input + output,
    ...(typeof wire.cost === 'number' ? { cost: wire.cost } : {}),
  };
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
