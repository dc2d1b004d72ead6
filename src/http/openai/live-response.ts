/** The response object of a turn that may still be running. */

import type { Turn } from '../../conversation/turn.ts';
import type { LiveTurn } from '../../turns/live-turn.ts';

/** For what another server tells; what runs here is known at once. */
const PATIENCE_MILLISECONDS = 1000;

/**
 * The turn as its first event has it, with what was asked for: the store knows that only when the turn is over. Null if
 * nobody can tell any more, or not in time.
 */
export function begunTurn(live: LiveTurn): Promise<Turn | null> {
  return new Promise((resolve) => {
    const follower = live.follow(-1, () => setImmediate(look));
    const patience = setTimeout(settle, PATIENCE_MILLISECONDS, null);
    look();

    function look(): void {
      const next = follower.next();
      if (next === null) return;
      settle(next !== 'expired' && next.event.type === 'turn.started' ? next.event.turn : null);
    }

    function settle(turn: Turn | null): void {
      clearTimeout(patience);
      follower.close();
      resolve(turn);
    }
  });
}
