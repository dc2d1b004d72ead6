/**
 * `Server-Timing`: where the time of a request went, in milliseconds. `parley` is the server's own share, its store
 * included; `provider` is what it waited for providers; `wait` is what it waited for anything else: the rest of the
 * body, turns of the session that came before, pauses between attempts. Together they are the time until the answer
 * begins. Of a stream that is the time until its first token: the rest is not known when headers are sent.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LiveTurn } from '../turns/live-turn.ts';
import type { StartedTurn } from '../turns/turns.ts';

declare module 'fastify' {
  interface FastifyRequest {
    timing: RequestTiming;
  }
}

/** By the clock of `performance.now()`. */
export interface RequestTiming {
  readonly startedAt: number;
  /** When nothing was wanted any more but the body; null before. */
  admittedAt: number | null;
  /** When the body was there; null before, and where there is none. */
  receivedAt: number | null;
  /** How long the request waited for its session. */
  queuedMilliseconds: number;
  /** The turn whose end or first token is waited for. */
  turn: Pick<LiveTurn, 'asked'> | null;
}

export function startTiming(): RequestTiming {
  return {
    startedAt: performance.now(),
    admittedAt: null,
    receivedAt: null,
    queuedMilliseconds: 0,
    turn: null,
  };
}

/** From here on the request waits for this turn. */
export function waitsFor({ timing }: FastifyRequest, { live, queuedMilliseconds }: StartedTurn): void {
  timing.turn = live;
  timing.queuedMilliseconds = queuedMilliseconds;
}

/** Tells the client; to be called when the headers are about to be sent. */
export function tellTiming({ timing }: FastifyRequest, reply: FastifyReply): void {
  void reply.header('server-timing', serverTiming(timing, performance.now()));
}

/** The header's value for an answer that begins at that time. */
export function serverTiming(timing: RequestTiming, now: number): string {
  const { startedAt, admittedAt, receivedAt, queuedMilliseconds, turn } = timing;
  const receiving = admittedAt === null || receivedAt === null ? 0 : receivedAt - admittedAt;
  const { asked, between } = timeOf(turn, startedAt, now);
  const wait = receiving + queuedMilliseconds + between;
  const own = Math.max(0, now - startedAt - asked - wait);
  return [share('parley', own), ...(asked > 0 ? [share('provider', asked)] : []), ...waited(wait)].join(', ');
}

/**
 * How long the turn asked providers within the request, and how long it did not between two attempts. A request that
 * joins a turn, or comes after it, did not wait for what was over before.
 */
function timeOf(turn: RequestTiming['turn'], startedAt: number, now: number) {
  let asked = 0;
  let between = 0;
  let until: number | null = null;
  for (const { from, to } of turn?.asked ?? []) {
    const begin = Math.max(from, startedAt);
    const end = Math.max(to ?? now, startedAt);
    if (until !== null) between += begin - until;
    asked += end - begin;
    until = end;
  }
  return { asked, between };
}

/** Less than this is shown as nothing. */
const SHOWN_MILLISECONDS = 0.05;

function waited(milliseconds: number): string[] {
  return milliseconds < SHOWN_MILLISECONDS ? [] : [share('wait', milliseconds)];
}

function share(name: string, milliseconds: number): string {
  return `${name};dur=${milliseconds.toFixed(1)}`;
}
