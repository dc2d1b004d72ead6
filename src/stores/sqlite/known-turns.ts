/**
 * Turns of paths as they were read, so that the next turn of a session reads only what has come since, and no text is parsed
 * twice. Nothing that a path shows of a turn ever changes, but for items that are deleted: then all is forgotten.
 */

import type { PathTurn } from '../store.ts';

/** A turn as it is found again: a sequence number alone may stand for another one when its session is gone. */
export interface TurnName {
  sequence: number;
  id: string;
}

export interface KnownTurn {
  turn: PathTurn;
  /** Null for the first of a conversation. */
  parent: TurnName | null;
}

export interface KnownTurns {
  find(name: TurnName): KnownTurn | undefined;
  /** @param characters of the JSON that it was read from */
  remember(sequence: number, known: KnownTurn, characters: number): void;
  forgetAll(): void;
}

/** What a turn takes beside its items, in characters, roughly. */
const TURN_CHARACTERS = 500;

/** @param maxCharacters of JSON, beyond which those go that nobody has asked for longest */
export function createKnownTurns(maxCharacters: number): KnownTurns {
  /** In the order in which they were asked for last. */
  const turns = new Map<number, KnownTurn & { characters: number }>();
  let held = 0;
  return { find, remember, forgetAll };

  function find({ sequence, id }: TurnName): KnownTurn | undefined {
    const known = turns.get(sequence);
    if (known?.turn.id !== id) return undefined;
    turns.delete(sequence);
    turns.set(sequence, known);
    return known;
  }

  function remember(sequence: number, { turn, parent }: KnownTurn, characters: number): void {
    forget(sequence);
    // Many will be given it: whoever changed it would change the past of all.
    turns.set(sequence, { turn: frozen(turn), parent, characters: characters + TURN_CHARACTERS });
    held += characters + TURN_CHARACTERS;
    for (const oldest of turns.keys()) {
      if (held <= maxCharacters) break;
      forget(oldest);
    }
  }

  function forget(sequence: number): void {
    held -= turns.get(sequence)?.characters ?? 0;
    turns.delete(sequence);
  }

  function forgetAll(): void {
    turns.clear();
    held = 0;
  }
}

/** With everything in it. */
function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}
