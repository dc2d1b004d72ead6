/** A turn: one input and everything that led to its answer, as a transaction. */

import type { ErrorCode, ErrorDetails } from '../errors.ts';
import type { Item } from './item.ts';
import type { Trace } from './trace.ts';
import type { Usage } from './usage.ts';

export type TurnStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

/** The states that end a turn. */
export type FinalStatus = Extract<TurnStatus, 'completed' | 'incomplete' | 'failed' | 'cancelled'>;

/** Why the model stopped, in the words of Chat Completions. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** Where the provider of a turn was chosen: in the request, in the session, by the server, or by its failing. */
export type ProviderSource = 'override' | 'session' | 'default' | 'fallback';

export interface TurnError {
  code: ErrorCode;
  message: string;
  details?: ErrorDetails;
}

/** One try at one target. */
export interface Attempt {
  provider: string;
  model: string;
  status: 'completed' | 'failed';
  /** What went wrong, in the words of the failure table; never the provider's own text. */
  error: { kind: string; httpStatus?: number; clock?: string } | null;
  startedAt: number;
  /** From the start to the first token; null if none came. */
  firstTokenMilliseconds: number | null;
  milliseconds: number;
  usage: Usage | null;
  /** Events of the stream that could not be read and were skipped. */
  malformedEvents?: number;
}

/** A target by name: who serves, or served. */
export interface ServedBy {
  provider: string;
  /** As it was asked for, which is not always how the provider calls it in its answer. */
  model: string;
}

/** What is known of a turn once it is over. */
export interface TurnOutcome {
  status: FinalStatus;
  /** What the model made. A failed turn keeps here what it had when it failed. */
  output: readonly Item[];
  /** Who answered, or was tried last. */
  provider: string | null;
  model: string | null;
  providerSource: ProviderSource | null;
  finishReason: FinishReason | null;
  attempts: readonly Attempt[];
  usage: Usage | null;
  error: TurnError | null;
  /** Places of the path that the model saw before the input: with them an answer's history is made again. */
  seenPlaces: number;
  /** Null if nobody knows how the answer came: the server died in the middle of the turn, or part of the output was deleted. */
  trace: Trace | null;
  /**
   * Of the request, what the API that it came in by shows again with the turn; left out where there is nothing. A turn
   * whose server died does not have it.
   */
  asked?: Readonly<Record<string, unknown>>;
  completedAt: number;
}

export interface Turn extends Omit<TurnOutcome, 'status' | 'completedAt'> {
  id: string;
  sessionId: string;
  /** The turn it follows; null for the first of a conversation. */
  parentId: string | null;
  status: TurnStatus;
  input: readonly Item[];
  createdAt: number;
  completedAt: number | null;
}

/**
 * Whether a turn that ended so is part of the conversation, and can be followed by another. What there was of an
 * answer when somebody cancelled it stays; a turn that was cancelled before its first words leaves nothing.
 */
export function joinsConversation({
  status,
  output,
}: {
  status: TurnStatus;
  output: readonly Item[];
}): boolean {
  if (status === 'cancelled') return output.some((item) => item.type === 'message');
  return status === 'completed' || status === 'incomplete';
}

/** The target whose answer the turn has; null if none answered. */
export function servedBy({ attempts }: Pick<TurnOutcome, 'attempts'>): ServedBy | null {
  const attempt = attempts.findLast(({ status }) => status === 'completed');
  return attempt === undefined ? null : { provider: attempt.provider, model: attempt.model };
}
