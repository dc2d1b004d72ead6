/**
 * The beginning of a continuation, held until it is clear how it stands to the text that it continues: whether it
 * follows it, repeats some of its end first, or begins the whole answer anew. Knows characters only.
 */

export interface Overlap {
  /**
   * Takes the next piece of the continuation and gives what is known to follow the text. `isAnew`: the
   * continuation is no continuation; `text` is then all there was of it, and nothing more may be added.
   */
  add(piece: string): { text: string; isAnew: boolean };
  /** The continuation has ended: what is still held follows the text. */
  end(): string;
}

/** Fewer characters than this may well be said twice; a repetition by mistake is longer. */
const MIN_REPEATED = 12;
/** Whoever begins anew repeats at least this much, or the whole text where it is shorter. */
const MIN_ANEW = 32;
/** No target repeats more of the end than this. */
const MAX_REPEATED = 2000;

/**
 * @param text that is continued; the target was given it without the white space at its end
 * @param repeatsEnd whether the target is one that may repeat some of the end before it goes on
 */
export function createOverlap(text: string, { repeatsEnd }: { repeatsEnd: boolean }): Overlap {
  const space = text.slice(text.trimEnd().length);
  const tail = repeatsEnd ? text.trimEnd().slice(-MAX_REPEATED) : '';
  const beginning = text.slice(0, MIN_ANEW);
  let held = '';
  let decided = false;
  return { add, end };

  function add(piece: string): { text: string; isAnew: boolean } {
    if (decided || piece === '') return { text: piece, isAnew: false };
    held += piece;
    const canBeAnew = beginning.length >= MIN_REPEATED;
    if (canBeAnew && held.startsWith(beginning)) return { text: settle(held), isAnew: true };
    if ((canBeAnew && beginning.startsWith(held)) || mayRepeat() || maySpace()) {
      return { text: '', isAnew: false };
    }
    return { text: settle(withoutSpace(afterRepetition())), isAnew: false };
  }

  function end(): string {
    return decided ? '' : settle(withoutSpace(afterRepetition()));
  }

  function settle(fresh: string): string {
    decided = true;
    held = '';
    return fresh;
  }

  function afterRepetition(): string {
    return held.slice(repeatedLength());
  }

  /** How much of the tail's end the continuation begins with. */
  function repeatedLength(): number {
    for (let length = Math.min(tail.length, held.length); length >= MIN_REPEATED; length -= 1) {
      if (tail.endsWith(held.slice(0, length))) return length;
    }
    return 0;
  }

  /** Whether what is held may grow to a repetition: it stands in the tail, with the end still to come. */
  function mayRepeat(): boolean {
    for (let at = tail.indexOf(held); at !== -1; at = tail.indexOf(held, at + 1)) {
      if (tail.length - at >= Math.max(MIN_REPEATED, held.length)) return true;
    }
    return false;
  }

  /** Whether more of the white space that the text ends with may follow. */
  function maySpace(): boolean {
    const fresh = afterRepetition();
    return fresh.length < space.length && space.startsWith(fresh);
  }

  /** The client has the white space at the text's end, which the target was not given. */
  function withoutSpace(fresh: string): string {
    let known = 0;
    while (known < space.length && known < fresh.length && fresh[known] === space[known]) known += 1;
    return fresh.slice(known);
  }
}
