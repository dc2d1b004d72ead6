/**
 * Which target a turn asks next, and when: the order of its targets, what the failure table says of those that
 * failed, and what the breakers know of them from other turns. It asks nobody and waits for nothing itself.
 */

import type { ProviderError } from '../providers/provider.ts';
import type { Breaker, Breakers, Verdict } from './breaker.ts';
import { restOf, rowOf } from './failure.ts';
import type { Target, Targets } from './target.ts';

export interface Itinerary {
  /** The next target and how long to wait before asking it; null if nobody is left to be asked in time. */
  next(): Step | null;
  /** The target's attempt has failed before the client had anything of it. */
  failed(target: Target, failure: ProviderError): void;
  /** The target's attempt has failed after the client had part of it, or it refuses to make the rest of another's. */
  brokeOff(target: Target, failure: ProviderError): void;
  /** How long the first of the targets that rest wants to be left alone; null if none does. */
  restMilliseconds(): number | null;
}

export interface Step {
  target: Target;
  breaker: Breaker;
  /** Milliseconds. */
  wait: number;
}

/** A target is asked so often in one turn at most. */
const ATTEMPTS_PER_TARGET = 2;

/** The longest pause before the same target is asked again; the pause is drawn between none and this. */
const PAUSE_MILLISECONDS = 500;

interface Stop {
  target: Target;
  breaker: Breaker;
  attempts: number;
  /** Whether it may still be asked in this turn. */
  isOpen: boolean;
  /** Asked only when no other is left: it asked to be left alone, or its stream broke off and it can go on with it. */
  isLastResort: boolean;
}

/**
 * @param remaining milliseconds that are left of the turn's time
 * @param random between 0 and 1, drawn anew for each pause
 */
export function createItinerary(
  targets: Targets,
  breakers: Breakers,
  remaining: () => number,
  random: () => number,
): Itinerary {
  const stops: Stop[] = targets.map((target) => ({
    target,
    breaker: breakers.of({ provider: target.provider.name, model: target.model }),
    attempts: 0,
    isOpen: true,
    isLastResort: false,
  }));
  /** To be asked again before all others. */
  let again: Stop | null = null;
  return { next, failed, brokeOff, restMilliseconds };

  function next(): Step | null {
    const chosen = choose();
    again = null;
    if (chosen === null) return null;
    chosen.stop.attempts += 1;
    chosen.stop.isOpen = chosen.stop.attempts < ATTEMPTS_PER_TARGET;
    const { target, breaker } = chosen.stop;
    return { target, breaker, wait: chosen.wait };
  }

  function choose(): { stop: Stop; wait: number } | null {
    if (again !== null) {
      const pause = drawPause();
      if (pause < remaining()) return { stop: again, wait: pause };
      // Asking it at once is not worth the turn's last moments; another target may be.
      again.isOpen = false;
    }
    const open = stops.filter(({ isOpen }) => isOpen);
    const ready = open.filter(({ breaker }) => breaker.waitMilliseconds() === 0);
    const best = ready.find(({ isLastResort }) => !isLastResort) ?? ready[0];
    if (best !== undefined) return { stop: best, wait: 0 };
    const resting = soonest(open.filter(({ breaker }) => !breaker.isOpen()));
    if (resting !== null && resting.wait < remaining()) return resting;
    // All others are out of service; the one that is to be tried soonest is the least bad.
    const leastBad = soonest(open.filter(({ breaker }) => breaker.isOpen()));
    if (leastBad === null) return null;
    const wait = leastBad.stop.attempts === 0 ? 0 : drawPause();
    return wait === 0 || wait < remaining() ? { stop: leastBad.stop, wait } : null;
  }

  function failed(target: Target, failure: ProviderError): void {
    const stop = stopOf(target);
    const { again: repeat, next: others } = rowOf(failure);
    if (repeat === 'no') stop.isOpen = false;
    else if (repeat === 'when_told') stop.isLastResort = true;
    else if (stop.isOpen && !stop.breaker.isOpen()) again = stop;
    if (others === 'no') close(() => true);
    if (others === 'larger_context') close((other) => !isLarger(other.contextTokens, target.contextTokens));
  }

  function brokeOff(target: Target, failure: ProviderError): void {
    const stop = stopOf(target);
    const canGoOn = target.provider.continuation !== 'none' && rowOf(failure).afterTokens === 'rescue';
    stop.isOpen &&= canGoOn;
    stop.isLastResort = true;
  }

  function stopOf(target: Target): Stop {
    const stop = stops.find((candidate) => candidate.target === target);
    if (stop === undefined) throw new Error(`${target.provider.name} is no target of this turn`);
    return stop;
  }

  /** Full jitter: those who failed together do not come back together. */
  function drawPause(): number {
    return random() * PAUSE_MILLISECONDS;
  }

  function restMilliseconds(): number | null {
    const resting = stops.filter(({ breaker }) => breaker.waitMilliseconds() > 0 && !breaker.isOpen());
    return soonest(resting)?.wait ?? null;
  }

  function close(which: (target: Target) => boolean): void {
    for (const stop of stops) if (which(stop.target)) stop.isOpen = false;
  }
}

/** The one that may be asked first, and when. */
function soonest(stops: readonly Stop[]): { stop: Stop; wait: number } | null {
  let first: { stop: Stop; wait: number } | null = null;
  for (const stop of stops) {
    const wait = stop.breaker.waitMilliseconds();
    if (first === null || wait < first.wait) first = { stop, wait };
  }
  return first;
}

/** Whether more is known to fit; what is not declared is not known. */
function isLarger(contextTokens: number | null, than: number | null): boolean {
  return contextTokens !== null && contextTokens > (than ?? 0);
}

/** Tells a target's breaker how the attempt failed, as the failure table says. */
export function tellBreaker(verdict: Verdict, failure: ProviderError): void {
  switch (rowOf(failure).breaker) {
    case 'counts':
      return verdict.failed(false);
    case 'opens':
      return verdict.failed(true);
    case 'rests':
      return verdict.rest(restOf(failure));
    case 'no':
      return verdict.undecided();
  }
}
