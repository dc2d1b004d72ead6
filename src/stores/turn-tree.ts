/**
 * Where each turn of one session stands in its tree, worked out as the turns come, in the order of their beginning:
 * for stores that take in a conversation whose turns they have not begun themselves. Pure.
 */

/** Turns by their numbers, which count from 1; 0 is the place before the first turn. */
export interface TreePlace {
  number: number;
  parent: number;
  /** An ancestor, by which distant ones are reached in few steps. */
  jump: number;
  /** How many turns the path to it has. */
  depth: number;
  placesBefore: number;
  /** Places that its input takes. */
  inputPlaces: number;
  /** Places on the path up to and with the turn. */
  placesAfter: number;
}

export interface TurnTree {
  /** Throws an `Error` for a parent that has not come before. */
  add(turn: { id: string; parentId: string | null; inputPlaces: number; outputPlaces: number }): TreePlace;
  /** The number of a turn; throws an `Error` if it has not come. */
  numberOf(turnId: string): number;
}

/** What it remembers of each turn is a few numbers and its id. */
export function createTurnTree(): TurnTree {
  const numbers = new Map<string, number>();
  const jumps = [0];
  const depths = [0];
  const ends = [0];

  return { add, numberOf };

  function add({ id, parentId, inputPlaces, outputPlaces }: Parameters<TurnTree['add']>[0]): TreePlace {
    const parent = parentId === null ? 0 : numberOf(parentId);
    if (numbers.has(id)) throw new Error(`The turn ${id} is there twice.`);
    const number = jumps.length;
    const [depth, placesBefore, jump] = [at(depths, parent) + 1, at(ends, parent), jumpAfter(parent)];
    const placesAfter = placesBefore + inputPlaces + outputPlaces;
    numbers.set(id, number);
    jumps.push(jump);
    depths.push(depth);
    ends.push(placesAfter);
    return { number, parent, jump, depth, placesBefore, inputPlaces, placesAfter };
  }

  function numberOf(turnId: string): number {
    const number = numbers.get(turnId);
    if (number === undefined) throw new Error(`There is no turn ${turnId} before what refers to it.`);
    return number;
  }

  /**
   * Jump pointers after Myers (1983): if the parent's last two jumps are equally long, they become one of twice the
   * length, else the jump leads to the parent.
   */
  function jumpAfter(parent: number): number {
    const first = at(jumps, parent);
    const second = at(jumps, first);
    const lengths = [at(depths, parent) - at(depths, first), at(depths, first) - at(depths, second)];
    return lengths[0] === lengths[1] ? second : parent;
  }
}

function at(numbers: readonly number[], index: number): number {
  return numbers[index] ?? 0;
}
