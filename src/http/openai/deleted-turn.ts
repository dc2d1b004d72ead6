/** A turn that clients of OpenAI's delete, as the response or the completion that it is to them. */

import type { Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { Rooms } from '../rooms.ts';

/** Whether somebody has deleted it: it has taken place, and nothing of it is there any more. */
export function isDeleted({ status, input, output }: Turn): boolean {
  return status !== 'in_progress' && input.length === 0 && output.length === 0;
}

/**
 * A turn that is all of its session goes with it, where it made the session. Any other may be followed by others: it stays
 * in its place, without anything in it. One that runs is stopped first.
 * @param madeSession whether the session was made for this turn
 */
export async function deleteTurn(
  { sessions, turns }: Rooms,
  owner: string,
  { id, sessionId }: Turn,
  madeSession: (turn: Turn) => boolean,
): Promise<void> {
  const turn = await turns.cancel(owner, sessionId, id);
  const { data, hasMore } = await sessions.turns(owner, sessionId, { limit: 1, after: null, order: 'asc' });
  if (!hasMore && data[0]?.id === id && madeSession(turn)) {
    await sessions.delete(owner, sessionId);
    return turns.abandon(sessionId);
  }
  for (const item of new Set([...turn.input, ...turn.output].map((one) => one.id))) {
    await sessions.deleteItem(owner, sessionId, item).catch((error: unknown) => {
      // Somebody else has deleted it in the meantime.
      if (!(error instanceof AppError) || error.code !== 'item_not_found') throw error;
    });
  }
}
