/**
 * What servers that share a store tell each other, so that none of them has to ask the store again and again. One
 * contract, `exchange.contract.ts`, runs against every implementation.
 *
 * The store alone says what is true; a notice only says that there is something new, or shows what is not stored yet. Any
 * notice may be lost, and none is told again by itself: whoever hears nothing looks at the store, only later.
 */

import type { TurnEvent } from '../conversation/event.ts';
import type { TargetReport } from '../conversation/target-state.ts';
import type { InputAction } from '../conversation/trace.ts';
import type { ErrorCode, ErrorDetails } from '../errors.ts';

export interface Exchange {
  /** What this server is called by the others; a name of its own for each time that it runs. */
  readonly self: string;
  /** Whether what others tell is heard at the moment. Where it is not, the store is to be asked more often. */
  isConnected(): boolean;
  /**
   * Tells every other server, or the one of that name. Neither waits nor throws.
   * @param to the `self` of another server
   */
  tell(notice: Notice, to?: string): void;
  /**
   * Calls the listener with every notice of others, as a rule in the order of their telling; never with one of this
   * server. A listener knows the kinds that it is for, and leaves the others.
   * @returns ends it
   */
  listen(listener: (notice: Notice) => void): () => void;
  close(): Promise<void>;
}

export type Notice =
  /** A server was started, or hears again after it did not: what lasts is told once more. */
  | { kind: 'hello' }
  /** The turn is to end: its owner wants it, and the store has noted it. */
  | { kind: 'cancel'; turn: TurnName }
  /** The session was deleted. */
  | { kind: 'deleted'; sessionId: string }
  /** Somebody waits for the session's turns to be over, for as long as this is told every few seconds. */
  | { kind: 'waiting'; sessionId: string }
  /** A turn of the session is over. */
  | { kind: 'over'; sessionId: string }
  /**
   * A follower wants the turn's events after that number, as many as it has room for, and goes on wanting them for as long
   * as this is told every few seconds. `again`: what was sent since is lost.
   */
  | { kind: 'follow'; turn: TurnName; follower: DistantFollower; after: number; room: number; again: boolean }
  /** For a follower: events of its turn under the numbers from `first` on. The last event of a turn is never among them. */
  | { kind: 'events'; followerId: string; first: number; events: TurnEvent[] }
  /** Something was entered for a tool of the turn; whoever runs it says to the server `from` that it was taken. */
  | { kind: 'input'; id: string; from: string; turn: TurnName; requestId: string; answer: EnteredInput }
  /** Refused with that error of the catalogue; null if it was taken. */
  | {
      kind: 'input-taken';
      id: string;
      refusal: { code: ErrorCode; details?: ErrorDetails | undefined } | null;
    }
  /** What a server has found out of a target's health. */
  | { kind: 'target'; report: TargetReport };

/** What somebody has answered to a tool that asks. */
export interface EnteredInput {
  action: InputAction;
  content?: Record<string, unknown>;
}

/** Names a turn, and by its owner only for those who may know it. */
export interface TurnName {
  owner: string;
  sessionId: string;
  turnId: string;
}

/** Whoever follows a turn that another server runs. */
export interface DistantFollower {
  id: string;
  /** Its server. */
  server: string;
}
