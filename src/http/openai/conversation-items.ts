/** The items of a conversation as clients of OpenAI's list them: all of the path to its head, the newest first. */

import { countPlaces, type Item } from '../../conversation/item.ts';
import type { PageRequest } from '../../conversation/page.ts';
import { AppError } from '../../errors.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { PathTurn } from '../../stores/store.ts';

type Reader = Pick<Sessions, 'path'>;

/** Places that are read first; what lies further back is read when it is asked for, twice as far each time. */
const PLACES = 64;

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
  const isIt = ({ id }: Item) => id === itemId;
  const read = await readBack(sessions, owner, sessionId, (items) => items.some(isIt));
  return read.find(isIt) ?? null;
}

/** The newest items, back to where there are enough of them or none before. */
async function readBack(
  sessions: Reader,
  owner: string,
  sessionId: string,
  isEnough: (newestFirst: readonly Item[]) => boolean,
): Promise<Item[]> {
  for (let places = PLACES; ; places *= 2) {
    const path = await sessions.path(owner, sessionId, undefined, places);
    const items = path.flatMap(({ input, output }) => [...input, ...output]).reverse();
    if (isWhole(path, places) || isEnough(items)) return items;
  }
}

/** Whether the path was read to its beginning: turns are read whole until there are so many places before the last. */
function isWhole(path: readonly PathTurn[], places: number): boolean {
  const [oldest, newest] = [path.at(0), path.at(-1)];
  if (oldest === undefined || newest === undefined) return true;
  const end = newest.placesBefore + countPlaces([...newest.input, ...newest.output]);
  return end - oldest.placesBefore < places;
}
