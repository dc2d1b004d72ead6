/**
 * A route: a list of targets as one stream of events. Which target is asked next is the itinerary's, what a
 * failure means the failure table's; once the client has something of an answer, what other targets make reaches
 * it through a rescue.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Attempt, ProviderSource } from '../conversation/turn.ts';
import type { AppError } from '../errors.ts';
import {
  type Prompt,
  ProviderError,
  type ProviderEvent,
  type ProviderFailure,
} from '../providers/provider.ts';
import { type AttemptLimits, attempt } from './attempt.ts';
import type { Breakers } from './breaker.ts';
import { rateLimited, rowOf, turnFailure } from './failure.ts';
import { createItinerary, type Itinerary, type Step, tellBreaker } from './itinerary.ts';
import { createRescue, type Passage } from './rescue.ts';
import { createShown, type Shown } from './shown.ts';
import type { Target, Targets } from './target.ts';

/** A prompt before a target is chosen. */
export type RoutedPrompt = Omit<Prompt, 'model' | 'continueFrom'>;

/** What holds for all attempts of a turn. */
export interface RouteConditions extends Omit<AttemptLimits, 'remainingMilliseconds'> {
  /** The whole turn's time: every attempt and every wait counts against it. */
  turnMilliseconds: number;
  breakers: Breakers;
  /** Between 0 and 1, for the length of pauses. */
  random: () => number;
}

export type RouteEvent =
  | ProviderEvent
  /** A try begins; what follows comes from this target. */
  | { type: 'attempt-started'; provider: string; model: string; source: ProviderSource }
  /** A try is over: after its `finish`, or before the next one starts, or before the route throws. */
  | { type: 'attempt-ended'; attempt: Attempt }
  /** What came before is no part of the answer. `reason` is what ended the attempt that made it. */
  | { type: 'restart'; reason: string };

/**
 * Tells of the events of an answer, each try announced and recorded, and resolves when the answer is whole. Throws
 * an `AppError` when nobody is left to be asked or the failure is the caller's own, and `signal.reason` when the
 * signal aborts.
 */
export async function route(
  targets: Targets,
  prompt: RoutedPrompt,
  conditions: RouteConditions,
  signal: AbortSignal,
  tell: (event: RouteEvent) => void,
): Promise<void> {
  const endsAt = performance.now() + conditions.turnMilliseconds;
  const remaining = () => Math.max(0, endsAt - performance.now());
  const itinerary = createItinerary(targets, conditions.breakers, remaining, conditions.random);
  const shown = createShown();
  const failures: ProviderError[] = [];
  /** What ended the attempt that made the last of what the client has. */
  let brokenBy: ProviderFailure | null = null;

  for (let step = itinerary.next(); step !== null; step = itinerary.next()) {
    if (step.wait > 0) await wait(step.wait, signal);
    const isRescue = !shown.isEmpty();
    const passage = isRescue ? rescue(step.target) : { continueFrom: null, add: show };
    // What is passed on of a rescue is not what came.
    const asked = isRescue ? { ...prompt, takesFrames: false } : prompt;
    const failure = await tryTarget(step, asked, passage);
    if (failure === null) return;
    const hasShown = !shown.isEmpty() && brokenBy === null;
    brokenBy ??= failure.kind;
    // What is refused in a rescue is no fault of the caller's: a part of the answer was given to the same request.
    if (!isRescue || rowOf(failure).next === 'yes' || isOutOfTime(failure)) failures.push(failure);
    if (shown.isEmpty()) itinerary.failed(step.target, failure);
    else if (!canBeRescued(failure, isRescue, shown)) break;
    else if (hasShown || rowOf(failure).next !== 'yes') itinerary.brokeOff(step.target, failure);
    else itinerary.failed(step.target, failure);
  }
  throw endOf(failures, itinerary);

  function rescue(target: Target): Passage {
    const reason = brokenBy ?? 'interrupted';
    const restart = () => {
      shown.discard();
      tell({ type: 'restart', reason });
    };
    return createRescue(shown.text(), target.provider.continuation, { tell: show, restart });
  }

  function show(event: ProviderEvent): void {
    brokenBy = null;
    shown.add(event);
    tell(event);
  }

  async function tryTarget(
    { target, breaker }: Step,
    prompt: RoutedPrompt,
    passage: Passage,
  ): Promise<ProviderError | null> {
    const record = startRecord(target);
    const { provider, model, source } = target;
    const given = { ...prompt, model, continueFrom: passage.continueFrom };
    const limits = { ...conditions, remainingMilliseconds: remaining() };
    tell({ type: 'attempt-started', provider: provider.name, model, source });
    const verdict = breaker.begin();
    try {
      await attempt(provider, given, limits, signal, (event) => {
        record.firstTokenMilliseconds ??= Date.now() - record.startedAt;
        if (event.type === 'finish') noteFinish(record, event);
        passage.add(event);
      });
      verdict.succeeded();
      tell(ended(record, null));
      return null;
    } catch (error) {
      if (!(error instanceof ProviderError)) {
        verdict.undecided();
        tell(ended(record, { kind: signal.aborted ? 'aborted' : 'internal' }));
        throw error;
      }
      record.usage = error.usage ?? null;
      tellBreaker(verdict, error);
      tell(ended(record, reasonOf(error)));
      return error;
    }
  }
}

/** @param isRescue whether the client had part of an answer before the attempt that failed */
function canBeRescued(failure: ProviderError, isRescue: boolean, shown: Shown): boolean {
  // A call may have been acted on by now: made again, it would be done twice.
  if (shown.hasCall() || isOutOfTime(failure)) return false;
  return isRescue || rowOf(failure).afterTokens === 'rescue';
}

function isOutOfTime({ clock }: ProviderError): boolean {
  return clock === 'turn';
}

/** What ends the turn. Without failures nobody was asked: every target rests for longer than there is time. */
function endOf(failures: readonly ProviderError[], itinerary: Itinerary): AppError {
  const [first, ...others] = failures;
  const rest = itinerary.restMilliseconds();
  return first === undefined ? rateLimited(rest) : turnFailure([first, ...others], rest);
}

/** Throws the signal's reason as soon as it aborts. */
async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await pause(milliseconds, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

function startRecord(target: Target): Attempt {
  return {
    provider: target.provider.name,
    model: target.model,
    status: 'completed',
    error: null,
    startedAt: Date.now(),
    firstTokenMilliseconds: null,
    milliseconds: 0,
    usage: null,
  };
}

function noteFinish(record: Attempt, finish: Extract<ProviderEvent, { type: 'finish' }>): void {
  record.usage = finish.usage;
  if (finish.malformedEvents !== undefined) record.malformedEvents = finish.malformedEvents;
}

function ended(record: Attempt, error: Attempt['error']): RouteEvent {
  record.milliseconds = Date.now() - record.startedAt;
  record.status = error === null ? 'completed' : 'failed';
  record.error = error;
  return { type: 'attempt-ended', attempt: record };
}

function reasonOf({ kind, status, clock }: ProviderError): Attempt['error'] {
  return {
    kind,
    ...(status === undefined ? {} : { httpStatus: status }),
    ...(clock === undefined ? {} : { clock }),
  };
}
