/** The turns that run in this process, and the requests with a key that are on their way to one. */

import type { RequestKey } from '../conversation/request-key.ts';
import type { AppError } from '../errors.ts';
import type { TurnInputs } from './inputs.ts';
import type { LiveTurn } from './live-turn.ts';

export interface RunningTurn {
  owner: string;
  sessionId: string;
  /** Under which it was asked for; null for none. */
  key: RequestKey | null;
  live: LiveTurn;
  inputs: TurnInputs;
  /** Ends it early, with this as its error. Without effect once its answer is whole. */
  cancel(reason: AppError): void;
}

/** Whose key, and for what: the same text of another owner or session is another key. */
export interface KeyedRequest {
  owner: string;
  sessionId: string;
  key: RequestKey;
}

export interface BegunUnder {
  /** Rejects if the turn could not begin: then the key is not taken by it. */
  begun: Promise<LiveTurn>;
  /** Whether it was asked for with the same body. */
  isSame: boolean;
}

export interface RunningTurns {
  add(turn: RunningTurn): void;
  /** The turn is over: nobody joins it any more, its key included. */
  remove(turnId: string): void;
  all(): RunningTurn[];
  /** Whoever it belongs to. */
  inSession(sessionId: string): RunningTurn | undefined;
  /** Undefined also for a turn of somebody else. */
  find(owner: string, sessionId: string, turnId: string): RunningTurn | undefined;
  /** What a request with the same key has begun, or is about to; null if there is none. */
  begunUnder(request: KeyedRequest): BegunUnder | null;
  /** Lets others with the same key join until `forget` is called. */
  remember(request: KeyedRequest, begun: Promise<LiveTurn>): { forget(): void };
}

export function createRunningTurns(): RunningTurns {
  const turns = new Map<string, RunningTurn>();
  const bySession = new Map<string, RunningTurn>();
  const keys = new Map<string, { fingerprint: string; begun: Promise<LiveTurn> }>();
  return {
    add(turn) {
      turns.set(turn.live.id, turn);
      bySession.set(turn.sessionId, turn);
    },
    remove(turnId) {
      const turn = turns.get(turnId);
      if (turn === undefined) return;
      turns.delete(turnId);
      if (bySession.get(turn.sessionId) === turn) bySession.delete(turn.sessionId);
      if (turn.key !== null) keys.delete(nameOf({ ...turn, key: turn.key }));
    },
    all: () => [...turns.values()],
    inSession: (sessionId) => bySession.get(sessionId),
    find(owner, sessionId, turnId) {
      const turn = turns.get(turnId);
      return turn?.owner === owner && turn.sessionId === sessionId ? turn : undefined;
    },
    begunUnder(request) {
      const known = keys.get(nameOf(request));
      if (known === undefined) return null;
      return { begun: known.begun, isSame: known.fingerprint === request.key.fingerprint };
    },
    remember(request, begun) {
      const name = nameOf(request);
      const entry = { fingerprint: request.key.fingerprint, begun };
      keys.set(name, entry);
      return {
        forget() {
          if (keys.get(name) === entry) keys.delete(name);
        },
      };
    },
  };
}

function nameOf({ owner, sessionId, key }: KeyedRequest): string {
  return JSON.stringify([owner, sessionId, key.value]);
}
