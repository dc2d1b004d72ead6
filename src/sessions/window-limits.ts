/** The limits of a window, from what the server, the session and the request say. */

import { countPlaces, type Item } from '../conversation/item.ts';
import type { Session } from '../conversation/session.ts';
import { tokenEstimate } from './tokens.ts';
import type { WindowLimits } from './window.ts';

/**
 * @param places the memory limit that holds for the turn
 * @param model whose tokenizer estimates; null where it is not known
 * @param input the new input; without one, room for a message is left, as the next turn will bring one
 */
export async function windowLimits(
  session: Session,
  places: number,
  model: string | null,
  input: readonly Item[],
): Promise<WindowLimits> {
  const limits = {
    places,
    taken: Math.max(1, countPlaces(input)),
    tokens: null,
    needed: 0,
  };
  if (session.maxContextTokens === null) return limits;
  const estimate = await tokenEstimate(model);
  const taken = estimate.text(session.instructions ?? '') + estimate.items(input);
  return { ...limits, tokens: { tokens: session.maxContextTokens, taken, count: estimate.items } };
}
