/**
 * Turns that nobody wants to find again. They run as all do, but in no session: their conversation is what the request
 * brings along, and what comes of it is told to whoever follows, and kept nowhere.
 */

import { NO_SESSION, type Session } from '../conversation/session.ts';
import type { AppError } from '../errors.ts';
import type { Slots } from '../limits/slots.ts';
import type { TurnStore } from './commit.ts';
import { type Entrance, RETRY_AFTER_SECONDS } from './entrance.ts';
import { rateLimited } from './token-charge.ts';

/** Keeps nothing, and has always kept everything. */
export const NOWHERE: TurnStore = {
  noteCalls: async () => true,
  commitTurn: async () => true,
  getSession: async () => null,
};

/** Lets every turn in at once, as far as its client has slots. */
export function createUnstoredEntrance(slots: Slots): Entrance {
  let refusal: AppError | null = null;
  return {
    async enter(request, turn) {
      if (refusal !== null) throw refusal;
      const { owner, allowance } = request;
      const most = allowance.concurrentTurns;
      const slot = most === null ? null : await slots.take(owner, most);
      if (most !== null && slot === null) throw rateLimited(RETRY_AFTER_SECONDS, 'concurrent_turns');
      turn.createdAt = Date.now();
      const ending = new AbortController();
      return {
        outcome: {
          kind: 'begun',
          session: sessionOf(owner, turn.createdAt),
          path: [],
          parentId: null,
          fence: 0,
          retries: null,
        },
        place: {
          signal: ending.signal,
          cancel: (reason) => ending.abort(reason),
          leave: async () => slot?.release(),
        },
      };
    },
    refuse(error) {
      refusal = error;
    },
  };
}

/** Says nothing: whatever is not the server's choice is the request's. */
function sessionOf(owner: string, now: number): Session {
  return {
    id: NO_SESSION,
    owner,
    title: null,
    provider: null,
    model: null,
    fallbackProviders: null,
    memoryLimit: null,
    maxContextTokens: null,
    instructions: null,
    tools: 'none',
    metadata: {},
    ttlSeconds: null,
    headTurnId: null,
    servedBy: null,
    createdAt: now,
    updatedAt: now,
  };
}
