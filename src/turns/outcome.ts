/** What a turn came to, from what the model made and what went wrong. */

import { countPlaces } from '../conversation/item.ts';
import type { FinishReason, TurnOutcome } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { PathTurn } from '../stores/store.ts';
import type { Answer } from './answer.ts';

/**
 * @param seen the turns that the model saw, oldest first
 * @param failure what ended the turn; null if nothing did, and the answer is what there is
 */
export function outcomeOf(answer: Answer, seen: readonly PathTurn[], failure: AppError | null): TurnOutcome {
  const target = answer.target();
  const finish = answer.finish();
  const status =
    finish === null ? 'completed' : answer.waitsForApproval() ? 'incomplete' : statusOf(finish.reason);
  const outcome: TurnOutcome = {
    status,
    output: answer.items(failure === null ? status : 'incomplete'),
    provider: target?.provider ?? null,
    model: target?.model ?? null,
    providerSource: target?.source ?? null,
    finishReason: finish?.reason ?? null,
    attempts: answer.attempts(),
    usage: finish?.usage ?? null,
    error: null,
    seenPlaces: placesOf(seen),
    trace: answer.trace(),
    completedAt: Date.now(),
  };
  if (failure !== null) return asFailed(outcome, failure);
  // A filter that left nothing has refused the request; one that cut an answer short has left part of it.
  const refused = finish?.reason === 'content_filter' && !answer.hasText();
  return refused ? asFailed(outcome, new AppError('content_filtered')) : outcome;
}

/** As the store counts them: items that were deleted since from all but the newest turn keep their places. */
function placesOf(path: readonly PathTurn[]): number {
  const [oldest, newest] = [path[0], path.at(-1)];
  if (oldest === undefined || newest === undefined) return 0;
  return newest.placesBefore - oldest.placesBefore + countPlaces([...newest.input, ...newest.output]);
}

/** The outcome of the same turn, ended by an error. What the model made stays on the turn's record. */
export function asFailed(outcome: TurnOutcome, failure: AppError): TurnOutcome {
  const { code, message, details } = failure;
  const error = details === undefined ? { code, message } : { code, message, details };
  return { ...outcome, status: code === 'turn_cancelled' ? 'cancelled' : 'failed', error };
}

/** An answer that the model could not end is never presented as a whole one. */
function statusOf(reason: FinishReason): 'completed' | 'incomplete' {
  return reason === 'stop' || reason === 'tool_calls' ? 'completed' : 'incomplete';
}
