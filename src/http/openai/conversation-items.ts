/** The items of a conversation as clients of OpenAI's list them: all of the path to its head, the newest first. */

import type { Item } from '../../conversation/item.ts';
import type { PageRequest } from '../../conversation/page.ts';
import { AppError } from '../../errors.ts';
import type { Sessions } from '../../sessions/sessions.ts';

type Reader = Pick<Sessions, 'path'>;

/** Places that are read first; what lies further back is read when it is asked for, twice as far each time. */
const PLACES = 64;

/** More places than a conversation has. */
const ALL_PLACES = 1_000_000_000;

/** A page of items. What it costs grows with how far back it lies, and not with what is beyond. */
export async function itemsPage(
  sessions: Reader,
  owner: string,
  sessionId: string,
  { limit, after, order }: PageRequest,
): Promise<{ data: Item[]; hasMore: boolean }> {
  const isEnough = (newestFirst: readonly Item[]) => {
    const start = after === null ? 0 : newestFirst.findIndex(({ id }) => id === after) + 1;
    return order === 'desc' && (after === null || start > 0) && newestFirst.length > start + limit;
  };
  const newestFirst = await readBack(sessions, owner, sessionId, isEnough);
  const all = order === 'desc' ? newestFirst : newestFirst.toReversed();
  const start = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== null && start === 0) throw new AppError('invalid_cursor', { param: 'after' });
  return { data: all.slice(start, start + limit), hasMore: all.length > start + limit };
}

/** The item of that id; null if the conversation has none. */
export async function findItem(
  sessions: Reader,
  owner: string,
  sessionId: string,
  itemId: string,
): Promise<Item | null> {
  return (await findItems(sessions, owner, sessionId, [itemId]))[0] ?? null;
}

/** Those items of the conversation that have one of the ids, newest first; it is read once for all of them. */
export async function findItems(
  sessions: Reader,
  owner: string,
  sessionId: string,
  itemIds: readonly string[],
): Promise<Item[]> {
  const wanted = new Set(itemIds);
  if (wanted.size === 0) return [];
  const foundIn = (items: readonly Item[]) => items.filter(({ id }) => wanted.has(id));
  const isEnough = (items: readonly Item[]) =>
    new Set(foundIn(items).map(({ id }) => id)).size === wanted.size;
  return foundIn(await readBack(sessions, owner, sessionId, isEnough));
}

/** The newest items, back to where there are enough of them or none before. */
async function readBack(
  sessions: Reader,
  owner: string,
  sessionId: string,
  isEnough: (newestFirst: readonly Item[]) => boolean,
): Promise<Item[]> {
  for (let places = PLACES; ; ) {
    const path = await sessions.path(owner, sessionId, undefined, places);
    const items = path.flatMap(({ input, output }) => [...input, ...output]).reverse();
    if (path.length === 0 || places === ALL_PLACES || isEnough(items)) return items;
    // Deleted items keep their places, and reasoning has none: how many were read does not tell whether it was all.
    places = path[0]?.placesBefore === 0 ? ALL_PLACES : places * 2;
  }
}
