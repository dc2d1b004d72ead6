/**
 * What a turn tells the store: the calls that it is about to make, and its end. After that, what the client is told is what
 * the store holds.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { McpCallItem } from '../conversation/item.ts';
import type { Session } from '../conversation/session.ts';
import type { Turn, TurnOutcome } from '../conversation/turn.ts';
import { AppError, asAppError } from '../errors.ts';
import type { Store, TurnClaim } from '../stores/store.ts';
import { asFailed } from './outcome.ts';

/** How long a store that could not be written to is left alone. */
const RETRY_MILLISECONDS = 1000;

/** What a turn that has begun asks of the store. */
export type TurnStore = Pick<Store, 'noteCalls' | 'commitTurn' | 'getSession'>;

interface Held {
  turn: Turn;
  session: Session;
  fence: number;
}

/** Stores the calls of a turn that runs. Throws `turn_superseded` if it does not hold its session any more. */
export async function note(store: TurnStore, held: Held, calls: readonly McpCallItem[]): Promise<void> {
  const stored = await store.noteCalls(claimOf(held), calls);
  if (!stored) throw new AppError('turn_superseded');
}

/**
 * Commits the outcome and returns what is true afterwards: an answer that could not be stored was not given, and
 * the turn has failed. Its session stays taken in the store, so the failure is recorded as soon as the store
 * accepts it, in the background; if the server ends first, the next start does it.
 * @param closed ends the background work
 */
export async function commit(
  store: TurnStore,
  held: Held,
  outcome: TurnOutcome,
  closed: AbortSignal,
): Promise<TurnOutcome> {
  const claim = claimOf(held);
  const { session } = held;
  try {
    const stored = await store.commitTurn({ ...claim, outcome });
    if (stored) return outcome;
    // Whoever deletes a session under its turn has not met a fault of the server.
    const deleted = (await store.getSession(session.owner, session.id)) === null;
    return asFailed(outcome, new AppError(deleted ? 'session_not_found' : 'turn_superseded'));
  } catch (error) {
    const failed = asFailed(outcome, asAppError(error));
    void recordFailure();
    return failed;

    async function recordFailure(): Promise<void> {
      while (await pauseUnless(closed)) {
        const done = await store.commitTurn({ ...claim, outcome: failed }).then(
          () => true,
          () => false,
        );
        if (done) return;
      }
    }
  }
}

function claimOf({ turn, fence }: Held): TurnClaim {
  return { sessionId: turn.sessionId, turnId: turn.id, fence };
}

/** Waits before the next try; false, at once, when there must be none: the store may be closed by then. */
function pauseUnless(closed: AbortSignal): Promise<boolean> {
  return pause(RETRY_MILLISECONDS, true, { ref: false, signal: closed }).catch(() => false);
}
