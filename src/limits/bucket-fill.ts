/**
 * How buckets fill: what one has at a moment, after what was written of it, and when it will have more. Steady ones
 * gain by the clock that never goes back, daily ones are full again at midnight by the one on the wall.
 */

import type { Level } from './bucket-table.ts';
import type { Bucket } from './limiter.ts';

export interface Moment {
  /** Milliseconds on a clock that never goes back. */
  time: number;
  /** Milliseconds since the epoch. */
  wall: number;
}

const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** The two clocks may drift apart within a day; a day's bucket that is forgotten too early would be full twice. */
const MARGIN_MILLISECONDS = 60 * 60 * 1000;

/**
 * What rounding may cost, in tokens. A bucket this close to what is asked has it; what is taken too early stays
 * missing, so the errors do not add up.
 */
export function toleranceOf({ burst }: Bucket): number {
  return Math.max(1e-9, burst * 1e-12);
}

/** What a request takes from the bucket. */
export function costOf({ cost = 1, burst }: Bucket): number {
  return Math.min(cost, burst);
}

/** What the bucket must have for the request to be let through. */
export function neededOf({ cost = 1, need = 0, burst }: Bucket): number {
  return Math.min(Math.max(cost, need), burst);
}

/** The tokens that the bucket has; below 0 where more was used than it held. */
export function tokensAt(level: Level | undefined, { rate, burst }: Bucket, { time, wall }: Moment): number {
  if (level === undefined) return burst;
  if (rate === 'daily') return dayOf(wall) > level.at ? burst : Math.min(burst, burst + level.tokens);
  // Times are milliseconds: a difference of whole ones is exact after years as well.
  return Math.min(burst, level.tokens + (Math.max(0, time - level.at) / 1000) * rate);
}

/**
 * What is to be written of a bucket that has so many tokens. Of a daily one it is what it lacks: when an operator
 * gives more for a day, what was used of the day is still known.
 */
export function levelOf({ rate, burst }: Bucket, tokens: number, { time, wall }: Moment): Level {
  if (rate === 'daily') {
    const fullAt = time + millisecondsToMidnight(wall) + MARGIN_MILLISECONDS;
    return { tokens: tokens - burst, at: dayOf(wall), fullAt };
  }
  return { tokens, at: time, fullAt: time + ((burst - tokens) / rate) * 1000 };
}

/** Seconds, not whole ones, until a bucket that has `tokens` has `wanted`, which is no more than its burst. */
export function secondsUntil({ rate }: Bucket, tokens: number, wanted: number, { wall }: Moment): number {
  if (wanted <= tokens) return 0;
  return rate === 'daily' ? millisecondsToMidnight(wall) / 1000 : (wanted - tokens) / rate;
}

/** Days since the epoch, in UTC. */
function dayOf(wall: number): number {
  return Math.floor(wall / DAY_MILLISECONDS);
}

function millisecondsToMidnight(wall: number): number {
  return (dayOf(wall) + 1) * DAY_MILLISECONDS - wall;
}
