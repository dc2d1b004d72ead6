/**
 * How turns get into their session, where they run one after another: the contract of entrances, of which there is one for
 * a store that this server has for itself (own-entrance.ts) and one for a store that servers share (shared-entrance.ts).
 */

import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { BeginOutcome } from '../stores/store.ts';
import type { TurnRequest } from './turn-request.ts';

export interface Entrance {
  /**
   * Begins the turn in the store as soon as its session is free for it, and sets when that was. Resolves with what the
   * store says otherwise: that its key stands for another turn, or that it cannot begin. Throws `session_busy` for
   * who does not want to wait, `session_queue_full` if too many wait already, `turn_cancelled` for who gives up,
   * `rate_limited` if the client has no slot left, and what the store and the slots throw.
   * @param signal aborts when the caller gives up waiting
   */
  enter(request: TurnRequest, turn: Turn, signal: AbortSignal): Promise<Entered>;
  /** Lets nobody in any more: all who wait, and all who come, are refused with this error. */
  refuse(error: AppError): void;
}

export type Entered =
  | { outcome: Begun; place: Place }
  | { outcome: Exclude<BeginOutcome, { kind: 'begun' }>; place: null };

export type Begun = Extract<BeginOutcome, { kind: 'begun' }>;

/** The right to run a turn in a session. */
export interface Place {
  /** Aborts when the turn is to be ended early, with its error as the reason. */
  readonly signal: AbortSignal;
  cancel(reason: AppError): void;
  /** Lets the next one in at once; resolves when the turn's slot is free for other servers as well. Never rejects. */
  leave(): Promise<void>;
}

/** What a refused caller is told to wait. Turns take seconds, and one that ends makes room. */
export const RETRY_AFTER_SECONDS = 1;

export function queueFull(waiting: number): AppError {
  return new AppError('session_queue_full', { waiting, retry_after: RETRY_AFTER_SECONDS });
}

export function sessionBusy(turnId: string | null): AppError {
  return new AppError('session_busy', turnId === null ? undefined : { turn_id: turnId });
}

/** A line of its own for every owner: nobody waits for, or interrupts, the turns of somebody else. */
export function lineOf({ owner, sessionId }: TurnRequest): string {
  return JSON.stringify([owner, sessionId]);
}
