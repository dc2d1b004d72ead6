/**
 * Breakers: what past attempts say of a target's health, across turns. One per target, fed by the outcome of every
 * attempt, streams included. A target that fails too often is left out for a while, then one attempt tries whether
 * it is back. Which failure counts is the failure table's matter, which target is asked instead the itinerary's.
 */

import type { TargetReport, TargetState } from '../conversation/target-state.ts';
import type { ServedBy } from '../conversation/turn.ts';

export interface Breaker {
  /** Milliseconds until an attempt may begin; 0 if one may now. */
  waitMilliseconds(): number;
  /** Whether nothing speaks against sending it what others could answer as well. */
  isHealthy(): boolean;
  /** Whether it is out of service because it failed, and not because it asked to be left alone. */
  isOpen(): boolean;
  /** An attempt begins. */
  begin(): Verdict;
}

/**
 * What an attempt says of its target's health; each attempt ends with exactly one of these. One that was begun
 * before the target was left out says nothing of how it is since.
 */
export interface Verdict {
  succeeded(): void;
  /** It failed in a way that counts; `atOnce` takes it out of service without waiting for more. */
  failed(atOnce: boolean): void;
  /** It asked to be left alone, which says nothing against it. */
  rest(milliseconds: number): void;
  /** The attempt ended in a way that says nothing of the target's health. */
  undecided(): void;
}

export interface Breakers {
  of(target: ServedBy): Breaker;
  /** The targets that were looked up, in the order of their last use. */
  states(): TargetState[];
  /**
   * Forgets what speaks against the targets of a provider, or against the one with that model (null = all that were
   * looked up). Attempts that have begun before say nothing any more, the trial of one that was left out included;
   * only that a target asks to be left alone still holds, as it speaks of now.
   */
  reset(provider: string, model: string | null): void;
  /** What others should know of the targets that are not in service. */
  reports(): TargetReport[];
  /** Does as another server, which has found that out. What an attempt of this server is about to show still counts. */
  adopt(report: TargetReport): void;
}

export interface BreakersOptions {
  /** Told of every change of a target's state. */
  onChange(state: TargetState): void;
  /** Told of what an attempt of this server has shown, and others should know. */
  report?(report: TargetReport): void;
  /** Milliseconds since the epoch. */
  now?(): number;
}

/** So many failures in a row are no accident. */
const CONSECUTIVE_FAILURES = 5;
/** A target that fails every other time is no use either, once there are enough attempts to tell. */
const MIN_ATTEMPTS = 20;
const FAILED_SHARE = 0.5;
const WINDOW_MILLISECONDS = 60_000;
/** Long enough not to be a nuisance, short enough for nobody to miss that the target is back. */
const FIRST_OPEN_MILLISECONDS = 10_000;
/** Every trial that fails doubles the time, up to this. */
const LONGEST_OPEN_MILLISECONDS = 60_000;
/** Callers choose models by name, so that targets are without number; those used last are remembered. */
const MAX_TARGETS = 1000;

export function createBreakers(options: BreakersOptions): Breakers {
  const breakers = new Map<string, KeptBreaker>();
  return {
    of: (target) => kept(target).breaker,
    states: () => [...breakers.values()].map(({ state }) => state()),
    reset,
    reports: () => [...breakers.values()].map(({ shownToOthers }) => shownToOthers()).filter(isUnhealthy),
    adopt: (report) => kept(report).adopt(report),
  };

  function kept(target: ServedBy): KeptBreaker {
    const key = `${target.provider}\n${target.model}`;
    const known = breakers.get(key) ?? createBreaker(target, options);
    // Put at the end: the first ones are those that nobody has asked for longest.
    breakers.delete(key);
    breakers.set(key, known);
    if (breakers.size > MAX_TARGETS) {
      const [oldest] = breakers.keys();
      if (oldest !== undefined) breakers.delete(oldest);
    }
    return known;
  }

  function reset(provider: string, model: string | null): void {
    for (const kept of breakers.values()) {
      const target = kept.state();
      if (target.provider === provider && (model === null || target.model === model)) kept.reset();
    }
  }
}

interface KeptBreaker {
  breaker: Breaker;
  state(): TargetState;
  shownToOthers(): TargetReport;
  adopt(report: TargetReport): void;
  reset(): void;
}

function isUnhealthy({ health }: TargetReport): boolean {
  return health !== 'closed';
}

function createBreaker(
  { provider, model }: ServedBy,
  { onChange, report = () => undefined, now = Date.now }: BreakersOptions,
): KeptBreaker {
  let state: TargetState['state'] = 'closed';
  let since = now();
  let until: number | null = null;
  let openMilliseconds = FIRST_OPEN_MILLISECONDS;
  let inARow = 0;
  /** How often it was left out or reset: an attempt begun under another number is one of before. */
  let openings = 0;
  let recent = { since, attempts: 0, failures: 0 };
  const breaker: Breaker = { waitMilliseconds, isHealthy, isOpen, begin };
  return { breaker, state: shown, shownToOthers, adopt, reset };

  function waitMilliseconds(): number {
    // Nobody knows how long the trial takes; if it fails, it is at least this long.
    return state === 'half_open' ? openMilliseconds : Math.max(0, (until ?? 0) - now());
  }

  function isHealthy(): boolean {
    return !isOpen() && waitMilliseconds() === 0;
  }

  function isOpen(): boolean {
    return state === 'open' || state === 'half_open';
  }

  function begin(): Verdict {
    const isTrial = state === 'open';
    if (isTrial) tell('half_open', null);
    else if (state === 'resting' && waitMilliseconds() === 0) change('closed', null);
    const begunAt = openings;
    const isOfBefore = () => begunAt !== openings;
    return {
      succeeded() {
        if (!isOfBefore()) succeeded();
      },
      failed(atOnce) {
        if (!isOfBefore()) failed(atOnce);
      },
      rest(milliseconds) {
        if (isOfBefore() && isOpen()) return;
        rest(milliseconds);
        report(shownToOthers());
      },
      undecided() {
        if (isTrial && !isOfBefore()) undecided();
      },
    };
  }

  function succeeded(): void {
    inARow = 0;
    count(0);
    openMilliseconds = FIRST_OPEN_MILLISECONDS;
    if (state === 'half_open') {
      recent = { since: now(), attempts: 0, failures: 0 };
      tell('closed', null);
    }
  }

  function failed(atOnce: boolean): void {
    inARow += 1;
    count(1);
    if (state === 'half_open') {
      openMilliseconds = Math.min(openMilliseconds * 2, LONGEST_OPEN_MILLISECONDS);
      open();
    } else if (state !== 'open' && (atOnce || isTooMuch())) {
      open();
    }
  }

  function rest(milliseconds: number): void {
    // Whoever asks for patience is there.
    inARow = 0;
    const end = now() + milliseconds;
    if (state === 'resting') until = Math.max(until ?? 0, end);
    else if (state !== 'open') change('resting', end);
  }

  function undecided(): void {
    // The trial has shown nothing, and the next attempt is one again.
    if (state === 'half_open') tell('open', now());
  }

  function open(): void {
    openings += 1;
    tell('open', now() + openMilliseconds);
  }

  function adopt({ health, milliseconds }: TargetReport): void {
    // Its own trial shows more than what others say.
    if (state === 'half_open') return;
    if (health === 'resting') rest(milliseconds);
    else if (health === 'closed') adoptClosed();
    else adoptOpen(milliseconds);
  }

  /** Left out for as long as there; or, while another server tries, until that must be over. */
  function adoptOpen(milliseconds: number): void {
    openMilliseconds = Math.min(Math.max(openMilliseconds, milliseconds), LONGEST_OPEN_MILLISECONDS);
    if (state !== 'open') openings += 1;
    change('open', Math.max(until ?? 0, now() + milliseconds));
  }

  function adoptClosed(): void {
    if (state === 'open') reset();
  }

  function reset(): void {
    openings += 1;
    inARow = 0;
    recent = { since: now(), attempts: 0, failures: 0 };
    openMilliseconds = FIRST_OPEN_MILLISECONDS;
    if (state !== 'closed') change('closed', null);
  }

  function isTooMuch(): boolean {
    const { attempts, failures } = recent;
    return (
      inARow >= CONSECUTIVE_FAILURES || (attempts >= MIN_ATTEMPTS && failures >= attempts * FAILED_SHARE)
    );
  }

  function count(failures: 0 | 1): void {
    if (now() - recent.since > WINDOW_MILLISECONDS) recent = { since: now(), attempts: 0, failures: 0 };
    recent.attempts += 1;
    recent.failures += failures;
  }

  /** A change that others should know of. */
  function tell(next: TargetState['state'], end: number | null): void {
    change(next, end);
    report(shownToOthers());
  }

  function shownToOthers(): TargetReport {
    const health = ({ closed: 'closed', open: 'open', half_open: 'trial', resting: 'resting' } as const)[
      shown().state
    ];
    return { provider, model, health, milliseconds: health === 'closed' ? 0 : waitMilliseconds() };
  }

  function change(next: TargetState['state'], end: number | null): void {
    if (state !== next) since = now();
    state = next;
    until = end;
    onChange(shown());
  }

  function shown(): TargetState {
    // A rest ends by itself, without anybody's being there to change the state.
    const rested = state === 'resting' && waitMilliseconds() === 0;
    return { provider, model, state: rested ? 'closed' : state, since, until: rested ? null : until };
  }
}
