/** Turns that do not run here: their events, made again from what the store has of them. */

import { setTimeout as pause } from 'node:timers/promises';
import { isExpired } from '../conversation/session.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Store } from '../stores/store.ts';
import { distantTurn } from './distant-turn.ts';
import { type LiveTurn, replay } from './live-turn.ts';

/** A turn that is being stored at this moment is there in less; one that cannot be stored is not waited for. */
const PATIENCE = { tries: 10, milliseconds: 50 };

/**
 * The events of a turn that does not run here: over, or on a shared store running elsewhere. Throws `session_not_found`
 * and `turn_not_found`, and `store_unavailable` for one whose end could not be stored yet.
 * @param closed ends the waiting for turns of other servers
 */
export async function findStored(
  store: Store,
  owner: string,
  sessionId: string,
  turnId: string,
  closed: AbortSignal,
): Promise<LiveTurn> {
  for (let tries = 1; ; tries += 1) {
    const session = await store.getSession(owner, sessionId);
    if (session === null || isExpired(session, Date.now())) throw new AppError('session_not_found');
    const turn = await store.getTurn(owner, sessionId, turnId);
    if (turn === null) throw new AppError('turn_not_found');
    if (turn.status !== 'in_progress') return replayOf(store, owner, turn);
    if (store.isShared) return distantTurn(turnId, () => endedTurn(store, owner, sessionId, turnId), closed);
    if (tries === PATIENCE.tries) throw new AppError('store_unavailable');
    await pause(PATIENCE.milliseconds);
  }
}

/** Null while it runs. */
async function endedTurn(
  store: Store,
  owner: string,
  sessionId: string,
  turnId: string,
): Promise<LiveTurn | null> {
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
