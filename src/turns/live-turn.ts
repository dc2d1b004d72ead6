/**
 * A turn while it runs: its numbered events in a bounded log, which any number of followers read at their own
 * pace. Nothing is kept for a follower but its position, so a slow one costs nothing; one that falls behind what
 * the log still holds is told so. The turn itself never waits for a follower.
 */

import { type EndedTurn, isLast, type TurnEvent } from '../conversation/event.ts';

export interface LiveTurn {
  readonly id: string;
  /** Adds an event under the next number and wakes the followers. */
  append(event: TurnEvent): void;
  /** Resolves when the turn is over, however it ended; rejects only if its end could not be stored. */
  readonly ended: Promise<EndedTurn>;
  /**
   * A reader of the events after a number; -1 reads from the start.
   * @param wake called when there is something to read and there was nothing before
   */
  follow(after: number, wake: () => void): Follower;
}

export interface Follower {
  /**
   * The next event; `expired` once if events were dropped before they were read, after which the reader goes on
   * with the oldest one that is left; null if there is nothing yet, or nothing more after `over`.
   */
  next(): NumberedEvent | 'expired' | null;
  /** Whether the last event has been read. */
  readonly over: boolean;
  close(): void;
}

export interface NumberedEvent {
  number: number;
  event: TurnEvent;
}

/** What an event takes in the log beside its text: its object, its number and its slot, roughly. */
const EVENT_OVERHEAD_BYTES = 64;

/** @param maxBytes of event text that the log holds; the oldest events are dropped beyond it */
export function createLiveTurn(id: string, maxBytes: number, ended: Promise<EndedTurn>): LiveTurn {
  const followers = new Set<() => void>();
  const log: TurnEvent[] = [];
  /** Number of the first event in the log. */
  let first = 0;
  let bytes = 0;
  return { id, append, ended, follow };

  function append(event: TurnEvent): void {
    log.push(event);
    bytes += sizeOf(event);
    // Cut in runs, not one by one: removing from the front of an array moves all that is left.
    if (bytes > maxBytes) drop(maxBytes / 2);
    for (const wake of followers) wake();
  }

  function drop(target: number): void {
    let count = 0;
    while (bytes > target && count < log.length - 1) {
      const event = log[count];
      if (event !== undefined) bytes -= sizeOf(event);
      count += 1;
    }
    log.splice(0, count);
    first += count;
  }

  function follow(after: number, wake: () => void): Follower {
    let position = after + 1;
    let over = false;
    let idle = true;
    const wakeOnce = () => {
      if (!idle) return;
      idle = false;
      wake();
    };
    followers.add(wakeOnce);
    if (position < first + log.length) wakeOnce();
    return {
      next,
      get over() {
        return over;
      },
      close: () => followers.delete(wakeOnce),
    };

    function next(): NumberedEvent | 'expired' | null {
      if (position < first) {
        position = first;
        return 'expired';
      }
      const event = log[position - first];
      if (event === undefined) {
        idle = true;
        return null;
      }
      const number = position;
      position += 1;
      over = isLast(event);
      return { number, event };
    }
  }
}

function sizeOf(event: TurnEvent): number {
  return EVENT_OVERHEAD_BYTES + ('text' in event ? event.text.length : 0);
}
