/**
 * Rescue: how the events of an attempt reach a client that has part of an answer already from an attempt that
 * failed. The text that arrives has no seam, no repetition and no gap; where that cannot be had, the client is
 * told to discard what it has.
 *
 * - A target that can continue is given the text so far, and what it makes is what follows. Should it begin the
 *   answer anew all the same, it is treated as one that cannot.
 * - A target that cannot answers anew. As long as it repeats the text that the client has, nothing is passed on;
 *   from there on everything is. Where it says something else, the client is told to restart.
 */

import type { Continuation, ProviderEvent } from '../providers/provider.ts';
import { createOverlap } from './overlap.ts';

/** What stands between an attempt and whoever follows the turn. */
export interface Passage {
  /** What the target is given as the beginning of its own answer; null asks for a whole one. */
  readonly continueFrom: string | null;
  add(event: ProviderEvent): void;
}

/** Where events go on to. */
export interface Followers {
  tell(event: ProviderEvent): void;
  /** Tells the client to discard what it has of the answer. */
  restart(): void;
}

/**
 * @param text that the client has; null if what it has cannot be gone on from
 * @param continuation how well the target can go on with it
 */
export function createRescue(text: string | null, continuation: Continuation, followers: Followers): Passage {
  if (text === null) return anew(followers);
  return continuation === 'none' ? repetition(text, followers) : continued(text, continuation, followers);
}

/** Nothing of what the client has can be kept: it is discarded as soon as there is something instead. */
function anew({ tell, restart }: Followers): Passage {
  let restarted = false;
  return {
    continueFrom: null,
    add(event) {
      if (!restarted) restart();
      restarted = true;
      tell(event);
    },
  };
}

/** The answer made anew: dropped while it repeats the text, passed on after it. */
function repetition(text: string, { tell, restart }: Followers): Passage {
  let position = 0;
  /** What was dropped so far, in case it has to be said after all; null once it is decided. */
  let dropped: ProviderEvent[] | null = [];
  return { continueFrom: null, add };

  function add(event: ProviderEvent): void {
    if (dropped === null) return tell(event);
    // The client has read one line of reasoning already; a second one would be a seam.
    if (event.type === 'reasoning-delta') dropped.push(event);
    else if (event.type === 'text-delta' && position < text.length) compare(event, dropped);
    else if (position === text.length) decide(event);
    else differ(event, dropped);
  }

  function compare(event: Extract<ProviderEvent, { type: 'text-delta' }>, held: ProviderEvent[]): void {
    const known = event.text.slice(0, text.length - position);
    if (!text.startsWith(known, position)) return differ(event, held);
    position += known.length;
    held.push(event);
    const rest = event.text.slice(known.length);
    if (rest !== '') decide({ ...event, text: rest });
  }

  /** The whole text was repeated, and this follows it. */
  function decide(event: ProviderEvent): void {
    dropped = null;
    tell(event);
  }

  function differ(event: ProviderEvent, held: readonly ProviderEvent[]): void {
    dropped = null;
    restart();
    for (const earlier of held) tell(earlier);
    tell(event);
  }
}

/** The answer continued: passed on, without what it repeats of the text's end. */
function continued(text: string, continuation: 'prefill' | 'instruct', followers: Followers): Passage {
  // Some providers refuse a beginning that ends with white space.
  const continueFrom = text.trimEnd();
  if (continueFrom === '') return repetition(text, followers);
  const overlap = createOverlap(text, { repeatsEnd: continuation === 'instruct' });
  /** Set when the target turned out to answer anew. */
  let repeated: Passage | null = null;
  return { continueFrom, add };

  function add(event: ProviderEvent): void {
    if (repeated !== null) return repeated.add(event);
    if (event.type === 'reasoning-delta') return;
    if (event.type === 'text-delta') {
      const { text: fresh, isAnew } = overlap.add(event.text);
      if (isAnew) {
        repeated = repetition(text, followers);
        repeated.add({ type: 'text-delta', text: fresh });
      } else if (fresh !== '') {
        followers.tell({ type: 'text-delta', text: fresh });
      }
      return;
    }
    const held = overlap.end();
    if (held !== '') followers.tell({ type: 'text-delta', text: held });
    followers.tell(event);
  }
}
