/**
 * A route: a list of targets as one stream of events. Targets are tried in order until one answers; once an
 * event of an answer has been passed on, its failure is the turn's.
 */

import type { Attempt, ProviderSource } from '../conversation/turn.ts';
import { type Prompt, ProviderError, type ProviderEvent } from '../providers/provider.ts';
import { attempt, type Clocks } from './attempt.ts';
import { allowsNextTarget, turnFailure } from './failure.ts';
import type { Target, Targets } from './targets.ts';

/** A prompt before a target is chosen. */
export type RoutedPrompt = Omit<Prompt, 'model'>;

export type RouteEvent =
  | ProviderEvent
  /** A try begins; what follows comes from this target. */
  | { type: 'attempt-started'; provider: string; model: string; source: ProviderSource }
  /** A try is over: after its `finish`, or before the next one starts, or before the route throws. */
  | { type: 'attempt-ended'; attempt: Attempt };

/**
 * Yields the events of the first target that answers, each try announced and recorded. Throws an `AppError` when
 * no target is left or the failure is the caller's own, and `signal.reason` when the signal aborts.
 */
export async function* route(
  targets: Targets,
  prompt: RoutedPrompt,
  clocks: Clocks,
  signal: AbortSignal,
): AsyncGenerator<RouteEvent> {
  const failures: ProviderError[] = [];
  for (const target of targets) {
    const record = startRecord(target);
    let passedOn = false;
    yield { type: 'attempt-started', provider: record.provider, model: target.model, source: target.source };
    try {
      for await (const event of attempt(
        target.provider,
        { ...prompt, model: target.model },
        clocks,
        signal,
      )) {
        record.firstTokenMilliseconds ??= Date.now() - record.startedAt;
        if (event.type === 'finish') record.usage = event.usage;
        passedOn = true;
        yield event;
      }
      yield ended(record, null);
      return;
    } catch (error) {
      if (!(error instanceof ProviderError)) {
        yield ended(record, { kind: signal.aborted ? 'aborted' : 'internal' });
        throw error;
      }
      yield ended(record, reasonOf(error));
      failures.push(error);
      if (passedOn || !allowsNextTarget(error)) break;
    }
  }
  const [first, ...others] = failures;
  if (first === undefined) throw new Error('a route has at least one target');
  throw turnFailure([first, ...others]);
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
