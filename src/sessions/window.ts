/**
 * The window: what of the past the model sees. A pure view of the path before a turn; it deletes nothing. It
 * cuts between turns only, and never between a tool call and its result.
 */

import { countPlaces, type Item, type PromptItem } from '../conversation/item.ts';
import type { PathTurn } from '../stores/store.ts';
import { asPromptItems, closeCalls, dropOrphans } from './tool-calls.ts';

/** From this many places on, the start moves in steps; below, a step would cost too much of the memory. */
const STEPPED_FROM = 16;
/** A step is this share of what fits: the prompt's prefix stays the same for as many turns as a step holds. */
const STEPS_PER_WINDOW = 4;

export interface WindowLimits {
  /** Places in all. */
  places: number;
  /** Places of them that the new input takes. */
  taken: number;
  tokens: TokenLimit | null;
  /** How many of the newest turns are seen whatever they take: the input answers calls that they made. */
  needed: number;
}

export interface TokenLimit {
  /** Tokens in all. */
  tokens: number;
  /** Tokens of them that the instructions and the new input take. */
  taken: number;
  count: (items: readonly Item[]) => number;
}

export interface Window {
  /** Oldest first. */
  turns: PathTurn[];
  leftOut: {
    /** Places on the path that the model does not see. */
    places: number;
    /** Which limit moved the start to where it is; null if nothing is left out. */
    reason: 'memory_limit' | 'max_context_tokens' | null;
  };
}

/**
 * The turns that fit beside a new input, which is always part of what the model sees, whatever it takes.
 * @param path the end of the path before the new input, newest first, read at least as far as the limits reach
 */
export function cutWindow(path: readonly PathTurn[], limits: WindowLimits): Window {
  const newest = path[0];
  if (newest === undefined) return { turns: [], leftOut: { places: 0, reason: null } };

  const end = newest.placesBefore + countPlaces([...newest.input, ...newest.output]);
  const byCount = startByCount(end + limits.taken, limits.places);
  const byTokens = limits.tokens === null ? 0 : startByTokens(path, end, limits.tokens);
  const start = Math.max(byCount, byTokens);
  const kept = path.filter((turn, index) => index < limits.needed || turn.placesBefore >= start);
  const turns = startOutsideOfAnswers(kept, limits.needed).reverse();

  const leftOut = turns[0]?.placesBefore ?? end;
  const reason = byTokens > byCount ? 'max_context_tokens' : 'memory_limit';
  return { turns, leftOut: { places: leftOut, reason: leftOut === 0 ? null : reason } };
}

/**
 * What the model is shown: the window's items, the new input, and what the turn has come to so far, every call with a
 * result.
 */
export function windowItems(
  window: Window,
  input: readonly Item[],
  made: readonly Item[] = [],
): PromptItem[] {
  const items: Item[] = [];
  for (const turn of window.turns) items.push(...turn.input, ...turn.output);
  items.push(...input, ...made);
  return closeCalls(dropOrphans(asPromptItems(items)));
}

/** The first place seen when only the number of places counts. `total` includes the new input. */
function startByCount(total: number, limit: number): number {
  if (total <= limit) return 0;
  const step = limit >= STEPPED_FROM ? Math.floor(limit / STEPS_PER_WINDOW) : 1;
  return Math.ceil((total - limit) / step) * step;
}

/**
 * The first place seen when only tokens count. The number of places that fit changes from turn to turn, so the
 * step is the power of two below a quarter of it: steps of neighbouring sizes then fall on the same places.
 */
function startByTokens(path: readonly PathTurn[], end: number, limit: TokenLimit): number {
  let left = limit.tokens - limit.taken;
  let start = end;
  for (const turn of path) {
    left -= limit.count(turn.input) + limit.count(turn.output);
    if (left < 0) break;
    start = turn.placesBefore;
  }
  const fitting = end - start;
  if (start === 0 || fitting < STEPPED_FROM) return start;
  const step = 2 ** Math.floor(Math.log2(fitting / STEPS_PER_WINDOW));
  return Math.ceil(start / step) * step;
}

/**
 * Moves the start, forward, to a turn that does not answer a call of the turn before it, so that an exchange of
 * calls and results is seen whole or not at all. An exchange that is longer than the window is the exception:
 * its end is seen, and `windowItems` drops the results whose calls are gone.
 */
function startOutsideOfAnswers(newestFirst: PathTurn[], needed: number): PathTurn[] {
  const start = newestFirst.findLastIndex((turn) => turn.placesBefore === 0 || !answersCalls(turn.input));
  return start === -1 ? newestFirst : newestFirst.slice(0, Math.max(start + 1, needed));
}

function answersCalls(items: readonly Item[]): boolean {
  return items.some((item) => item.type === 'function_call_output');
}
