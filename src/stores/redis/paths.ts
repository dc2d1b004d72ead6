/** Paths on Redis: the end of one for a window, and the items of the conversation page by page. */

import { takesPlace } from '../../conversation/item.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import { AppError } from '../../errors.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { PathQuery, PathTurn, PlacedItem, SessionPath } from '../store.ts';
import { type Keyspace, sessionKeys } from './keyspace.ts';
import { READ_ITEMS, READ_PATH } from './path-scripts.ts';
import { type SessionValues, toPath, toSession } from './records.ts';

export function createRedisPaths(connection: RedisConnection, keyspace: Keyspace) {
  return { read, listItems };

  async function read({ owner, sessionId, turnId, reach }: PathQuery): Promise<SessionPath | null> {
    const { session, turns } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const parameters = [owner, turnId ?? '', reach.places ?? '', reach.defaultPlaces, reach.taken];
    const reply = await connection.run<[SessionValues, string[]] | null>(
      READ_PATH,
      [session, turns],
      parameters,
    );
    return reply && { session: toSession(sessionId, reply[0]), path: toPath(reply[1]) };
  }

  /**
   * The script looks for a page by places, of which deleted items have left some empty: then it is asked again, each time
   * to reach as far again.
   */
  async function listItems(
    owner: string,
    sessionId: string,
    page: PageRequest,
  ): Promise<Page<PlacedItem> | null> {
    const { session, turns, items } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    // One item more tells whether there is another page.
    for (let wanted = page.limit + 1; ; wanted *= 2) {
      const reply = await connection.run<[cursorTurn: string, string[], head: string] | 0 | null>(
        READ_ITEMS,
        [session, turns, items],
        [owner, page.after ?? '', page.order, wanted],
      );
      if (reply === null) return null;
      if (reply === 0) throw new AppError('invalid_cursor');
      const [cursorTurn, values, head] = reply;
      const path = toPath(values);
      const asked = itemsOfPage(path, page, cursorTurn);
      const reachesEnd = page.order === 'asc' ? path[0]?.id === head : path.at(-1)?.placesBefore === 0;
      if (asked.length <= page.limit && path.length > 0 && !reachesEnd) continue;
      return { data: asked.slice(0, page.limit), hasMore: asked.length > page.limit };
    }
  }
}

/** The items of the path that come after the cursor, in the order of the page. */
function itemsOfPage(path: readonly PathTurn[], { after, order }: PageRequest, cursorTurn: string) {
  const placed = path.toReversed().flatMap(placedItems);
  const isCursor = ({ item, turnId }: PlacedItem) => turnId === cursorTurn && item.id === after;
  if (order === 'asc') return placed.slice(placed.findLastIndex(isCursor) + 1);
  return placed.slice(0, after === null ? placed.length : placed.findIndex(isCursor)).toReversed();
}

function placedItems({ id, input, output, createdAt, completedAt }: PathTurn): PlacedItem[] {
  const placed = (items: PathTurn['input'], time: number) =>
    items.filter(takesPlace).map((item) => ({ item, turnId: id, createdAt: time }));
  return [...placed(input, createdAt), ...placed(output, completedAt)];
}
