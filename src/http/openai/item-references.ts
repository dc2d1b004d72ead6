/**
 * Items that a client means by their ids alone. What the model sees anyway is not said again; an item of another turn of
 * the same owner is found by its id, in which its turn stands.
 */

import type { Item } from '../../conversation/item.ts';
import { AppError } from '../../errors.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { AdminStore } from '../../stores/admin-store.ts';
import type { ItemReference } from './input-items.ts';

export interface ReferenceRooms {
  sessions: Pick<Sessions, 'turn'>;
  turnIndex: Pick<AdminStore, 'findTurn'>;
}

/**
 * The input without references. Throws `item_not_found`, with the place, for one that leads nowhere.
 * @param history what the model sees before the input; asked for only if it is needed
 */
export async function withoutReferences(
  input: readonly (Item | ItemReference)[],
  owner: string,
  history: () => Promise<readonly Item[]>,
  { sessions, turnIndex }: ReferenceRooms,
): Promise<Item[]> {
  const references = input.filter((item) => item.type === 'item_reference');
  if (references.length === 0) return input.filter((item) => item.type !== 'item_reference');
  const seen = new Set((await history()).map(({ id }) => id));
  const elsewhere = await itemsOf(references.filter(({ id }) => !seen.has(id)));
  return input.flatMap((item, index) => {
    if (item.type !== 'item_reference') return [item];
    if (seen.has(item.id)) return [];
    const found = elsewhere.get(item.id);
    if (found !== undefined) return [found];
    const reason = `Item with id ${JSON.stringify(item.id)} not found.`;
    throw new AppError('item_not_found', { param: `input[${index}].id`, reason });
  });

  /** All items of the turns that made the items: calls of servers, whose ids name no turn, are among them. */
  async function itemsOf(wanted: readonly ItemReference[]): Promise<Map<string, Item>> {
    const turnIds = new Set(wanted.flatMap(({ id }) => turnOfItem(id) ?? []));
    const found = new Map<string, Item>();
    for (const turnId of turnIds) {
      const known = await turnIndex.findTurn(turnId);
      if (known === null || known.owner !== owner) continue;
      const { output } = await sessions.turn(owner, known.sessionId, turnId);
      for (const item of output) found.set(item.id, item);
    }
    return found;
  }
}

/** The id of the turn that made the item (`outputItemId`); null for what another one made. */
function turnOfItem(id: string): string | null {
  const digits = /^(?:msg|rs|fc)_([0-9a-f]{32})[0-9a-f]{4}$/.exec(id)?.[1];
  return digits?.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') ?? null;
}
