/**
 * Paths: a turn and its ancestors. Every path is read from its newest turn back, and only as far as asked. A
 * distant ancestor is reached over `jump` pointers, so that no read walks the whole of a long conversation.
 */

import type { PageRequest } from '../../conversation/page.ts';
import type { Session } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import type { PathTurn, PlacedItem, Reach } from '../store.ts';
import type { Database } from './database.ts';
import { createKnownTurns, type KnownTurn, type TurnName } from './known-turns.ts';
import { parseItem } from './rows.ts';

/** Where a path begins to be read: its newest turn. */
export interface PathEnd {
  sequence: number;
  /** Places on the path up to and with this turn. */
  places: number;
}

type PathRow = [
  turn: number,
  parent: number | null,
  parentId: string | null,
  id: string,
  placesBefore: number,
  createdAt: number,
  completedAt: number,
  output: 0 | 1 | null,
  json: string | null,
];
type PlacedRow = [turnId: string, output: 0 | 1, createdAt: number, completedAt: number, json: string];

/**
 * Parameters: ?1 the newest turn, ?2 the number of places of which the path may stop short: the walk ends
 * with the first turn that has no more than that many before it.
 */
const PATH = `WITH RECURSIVE path (turn, parent, id, places_before, created_at, completed_at) AS (
    SELECT sequence, parent, id, places_before, created_at, completed_at FROM turns WHERE sequence = ?1
    UNION ALL
    SELECT t.sequence, t.parent, t.id, t.places_before, t.created_at, t.completed_at
    FROM path CROSS JOIN turns t ON t.sequence = path.parent WHERE path.places_before > ?2
  )`;

/** The left join keeps the order of the walk, and turns without items. */
const PATH_ITEMS = `${PATH}
  SELECT path.turn, path.parent, (SELECT p.id FROM turns p WHERE p.sequence = path.parent), path.id,
    path.places_before, path.created_at, path.completed_at, i.output, i.json
  FROM path LEFT JOIN items i ON i.turn = path.turn`;

/** As the number of places to stop short of: only the first turn is read. */
const ONE_TURN = Number.MAX_SAFE_INTEGER;

/** What is remembered of turns that were read, in characters of their JSON: the windows of a thousand sessions. */
const KNOWN_CHARACTERS = 8 * 1024 * 1024;

/** Longer paths are not read for a window, and would drive out all that is. */
const REMEMBERED_TURNS = 200;

/** Further parameters: ?3 the item's sequence number to go on from, ?4 the limit. */
const placedItems = (comparison: '>' | '<', order: 'asc' | 'desc') => `${PATH}
  SELECT path.id, i.output, path.created_at, path.completed_at, i.json
  FROM path CROSS JOIN items i ON i.turn = path.turn
  WHERE i.placed = 1 AND i.sequence ${comparison} ?3 ORDER BY i.sequence ${order} LIMIT ?4`;

/** ?1 a turn, ?2 a sequence number: the newest turn of the path that is not above it. */
const ANCESTOR_BY_SEQUENCE = `WITH RECURSIVE climb (turn, parent, jump) AS (
    SELECT sequence, parent, jump FROM turns WHERE sequence = ?1
    UNION ALL
    SELECT t.sequence, t.parent, t.jump FROM climb CROSS JOIN turns t
      ON t.sequence = CASE WHEN climb.jump >= ?2 THEN climb.jump ELSE climb.parent END
    WHERE climb.turn > ?2
  )
  SELECT turn FROM climb WHERE turn <= ?2`;

/** ?1 a turn, ?2 a place: the newest turn of the path with no more than so many places before it. */
const ANCESTOR_BY_PLACE = `WITH RECURSIVE climb (turn, parent, jump, places_before, places) AS (
    SELECT sequence, parent, jump, places_before, places FROM turns WHERE sequence = ?1
    UNION ALL
    SELECT t.sequence, t.parent, t.jump, t.places_before, t.places FROM climb CROSS JOIN turns t
      ON t.sequence = CASE
        WHEN (SELECT j.places_before FROM turns j WHERE j.sequence = climb.jump) > ?2 THEN climb.jump
        ELSE climb.parent
      END
    WHERE climb.places_before > ?2
  )
  SELECT turn, places_before + places FROM climb WHERE places_before <= ?2`;

export function createSqlitePaths(database: Database) {
  const known = createKnownTurns(KNOWN_CHARACTERS);
  database.onRollback(known.forgetAll);
  const pathItems = database.prepare<PathRow>(PATH_ITEMS);
  const oldestPlaced = database.prepare<PlacedRow>(placedItems('>', 'asc'));
  const newestPlaced = database.prepare<PlacedRow>(placedItems('<', 'desc'));
  const ancestorBySequence = database.prepare<[turn: number]>(ANCESTOR_BY_SEQUENCE);
  const ancestorByPlace = database.prepare<[turn: number, places: number]>(ANCESTOR_BY_PLACE);
  const findPlaced = database.prepare<[sequence: number, turn: number, placesBefore: number, places: number]>(
    `SELECT i.sequence, t.sequence, t.places_before, t.places FROM items i JOIN turns t ON t.sequence = i.turn
     WHERE i.id = ? AND t.session = ? AND i.placed = 1`,
  );

  return { read, pageOfItems, forgetRead: known.forgetAll };

  /**
   * The end of the path, newest turn first, as `Reach` says. Mostly all but the newest turn is known; where more is not,
   * the rest is read at once.
   */
  function read(end: (PathEnd & TurnName) | null, reach: Reach, session: Session): PathTurn[] {
    const wanted = (reach.places ?? session.memoryLimit ?? reach.defaultPlaces) - reach.taken;
    const path: PathTurn[] = [];
    if (end === null || wanted <= 0) return path;
    const floor = end.places - wanted;
    let unknown = 0;
    for (let next: TurnName | null = end; next !== null; ) {
      const found = known.find(next);
      if (found === undefined) unknown += 1;
      const turns: readonly KnownTurn[] =
        found === undefined ? readFrom(next, unknown === 1 ? ONE_TURN : floor) : [found];
      for (const { turn } of turns) path.push(turn);
      const last: KnownTurn | undefined = turns.at(-1);
      if (last === undefined || last.turn.placesBefore <= floor) return path;
      next = last.parent;
    }
    return path;
  }

  /** @param floor of how many places the path stops short */
  function readFrom({ sequence }: TurnName, floor: number): KnownTurn[] {
    const read: { sequence: number; known: KnownTurn; characters: number }[] = [];
    for (const row of pathItems.all(sequence, floor)) {
      const [number, parent, parentId, id, placesBefore, createdAt, completedAt, output, json] = row;
      let last = read.at(-1);
      if (last?.sequence !== number) {
        const turn = { id, placesBefore, input: [], output: [], createdAt, completedAt };
        const before = parent === null || parentId === null ? null : { sequence: parent, id: parentId };
        last = { sequence: number, known: { turn, parent: before }, characters: 0 };
        read.push(last);
      }
      if (json === null) continue;
      const { turn } = last.known;
      (output ? turn.output : turn.input).push(parseItem(json));
      last.characters += json.length;
    }
    if (read.length <= REMEMBERED_TURNS) {
      for (const one of read) known.remember(one.sequence, one.known, one.characters);
    }
    return read.map((one) => one.known);
  }

  /**
   * A page of the items with a place, and whether there are more. It is looked for by places, of which deleted items
   * have left some empty: then it reaches on, each time as far again.
   */
  function pageOfItems(
    session: number,
    head: PathEnd | null,
    page: PageRequest,
  ): { data: PlacedItem[]; hasMore: boolean } {
    const after = page.after === null ? null : findOnPath(session, head, page.after);
    if (head === null) return { data: [], hasMore: false };
    // One item more tells whether there is another page.
    const wanted = page.limit + 1;
    for (let reach = wanted; ; reach *= 2) {
      const read = page.order === 'asc' ? ascending : descending;
      const { rows, isWhole } = read(head, after, wanted, reach);
      if (!isWhole && rows.length < wanted) continue;
      return { data: rows.slice(0, page.limit).map(toPlacedItem), hasMore: rows.length > page.limit };
    }
  }

  function ascending(head: PathEnd, after: Cursor | null, wanted: number, reach: number): Reached {
    const from = after?.end.places ?? 0;
    const newest = ancestorByPlace.get(head.sequence, from + reach - 1);
    if (newest === undefined) return { rows: [], isWhole: true };
    const rows = oldestPlaced.all(newest[0], after?.placesBefore ?? 0, after?.item ?? 0, wanted);
    return { rows, isWhole: newest[0] === head.sequence };
  }

  function descending(head: PathEnd, after: Cursor | null, wanted: number, reach: number): Reached {
    const newest = after?.end ?? head;
    // The cursor's own turn may have given all of its items already.
    const floor = (after?.placesBefore ?? head.places) - reach;
    const rows = newestPlaced.all(newest.sequence, floor, after?.item ?? Number.MAX_SAFE_INTEGER, wanted);
    return { rows, isWhole: floor <= 0 };
  }

  /** The cursor's item; a fork has items of the same ids, and a branch is not on the path. */
  function findOnPath(session: number, head: PathEnd | null, itemId: string): Cursor {
    for (const [item, sequence, placesBefore, places] of findPlaced.all(itemId, session)) {
      if (head === null || ancestorBySequence.get(head.sequence, sequence)?.[0] !== sequence) continue;
      return { item, placesBefore, end: { sequence, places: placesBefore + places } };
    }
    throw new AppError('invalid_cursor');
  }
}

interface Reached {
  rows: PlacedRow[];
  /** Whether there is nothing of the path beyond them. */
  isWhole: boolean;
}

interface Cursor {
  /** The item's sequence number. */
  item: number;
  placesBefore: number;
  /** Its turn. */
  end: PathEnd;
}

function toPlacedItem([turnId, output, createdAt, completedAt, json]: PlacedRow): PlacedItem {
  return { item: parseItem(json), turnId, createdAt: output ? completedAt : createdAt };
}
