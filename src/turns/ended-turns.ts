/** Turns that do not run here: their events, made again from what the store has of them. */

import { setTimeout as pause } from 'node:timers/promises';
import { isExpired } from '../conversation/session.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { TurnName } from '../replicas/exchange.ts';
import type { Store } from '../stores/store.ts';
import { type DistantTurnOptions, distantTurn } from './distant-turn.ts';
import { type LiveTurn, replay } from './live-turn.ts';

/** A turn that is being stored at this moment is there in less; one that cannot be stored is not waited for. */
const PATIENCE = { tries: 10, milliseconds: 50 };

export interface TurnsElsewhere extends Pick<DistantTurnOptions, 'exchange' | 'watch' | 'closed'> {
  store: Store;
}

/**
 * The events of a turn that does not run here: over, or on a shared store running elsewhere. Throws `session_not_found`
 * and `turn_not_found`, and `store_unavailable` for one whose end could not be stored yet.
 */
export async function findElsewhere(turn: TurnName, { store, ...heard }: TurnsElsewhere): Promise<LiveTurn> {
  const { owner } = turn;
  for (let tries = 1; ; tries += 1) {
    const stored = await storedTurn(turn, store);
    if (stored.status !== 'in_progress') return replayOf(store, owner, stored);
    if (store.isShared) return distantTurn({ ...heard, turn, look: () => endedTurn(store, turn) });
    if (tries === PATIENCE.tries) throw new AppError('store_unavailable');
    await pause(PATIENCE.milliseconds);
  }
}

/** The turn as it is stored. Throws `session_not_found` and `turn_not_found`. */
export async function storedTurn(
  { owner, sessionId, turnId }: TurnName,
  store: Pick<Store, 'getSession' | 'getTurn'>,
): Promise<Turn> {
  const session = await store.getSession(owner, sessionId);
  if (session === null || isExpired(session, Date.now())) throw new AppError('session_not_found');
  const stored = await store.getTurn(owner, sessionId, turnId);
  if (stored === null) throw new AppError('turn_not_found');
  return stored;
}

/** Null while it runs. */
async function endedTurn(store: Store, { owner, sessionId, turnId }: TurnName): Promise<LiveTurn | null> {
  const turn = await store.getTurn(owner, sessionId, turnId);
  if (turn === null) throw new AppError('turn_not_found');
  return turn.status === 'in_progress' ? null : replayOf(store, owner, turn);
}

/** With the turns that the model saw, which its last event shows. */
async function replayOf(store: Store, owner: string, turn: Turn): Promise<LiveTurn> {
  const { sessionId, parentId, seenPlaces } = turn;
  if (parentId === null || seenPlaces === 0) return replay({ turn, seen: [] });
  const reach = { places: seenPlaces, defaultPlaces: 0, taken: 0 };
  const found = await store.readPath({ owner, sessionId, turnId: parentId, reach });
  if (found === null) throw new AppError('session_not_found');
  return replay({ turn, seen: found.path.reverse() });
}
