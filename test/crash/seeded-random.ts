/** Chance that can be had again: the same seed gives the same draws in the same order. */

export interface SeededRandom {
  /** From `least` to `most`, both included. */
  integer(least: number, most: number): number;
  chance(probability: number): boolean;
  pick<Element>(list: readonly Element[]): Element;
  /** The same elements in another order. */
  shuffled<Element>(list: readonly Element[]): Element[];
  /** Draws of its own for somebody who draws at a time of his own. */
  branch(): SeededRandom;
}

/** @param seed an integer; what is beyond 32 bits is cut off */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed | 0;
  return {
    integer,
    chance: (probability) => next() < probability,
    pick,
    shuffled,
    branch: () => createSeededRandom(Math.floor(next() * 2 ** 32)),
  };

  function integer(least: number, most: number): number {
    return least + Math.floor(next() * (most - least + 1));
  }

  function pick<Element>(list: readonly Element[]): Element {
    const picked = list[integer(0, list.length - 1)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  function shuffled<Element>(list: readonly Element[]): Element[] {
    const rest = [...list];
    return list.flatMap(() => rest.splice(integer(0, rest.length - 1), 1));
  }

  /** Mulberry32: from 0 to below 1, good enough to spread blows. */
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
