/**
 * A turn's numbered events in a log, which any number of followers read at their own pace: bounded while the turn
 * runs, made again from what was committed once it is over. Nothing is kept for a follower but its position, so a
 * slow one costs nothing; one that falls behind what the log still holds is told so, and then of the turn's end.
 * The turn itself never waits for a follower.
 */

import { type EndedTurn, isLast, type TurnEvent } from '../conversation/event.ts';
import { tracedEvents } from '../conversation/traced-events.ts';
import type { RouteEvent } from '../routing/route.ts';
import type { CallEvent } from './run-calls.ts';

export interface LiveTurn {
  readonly id: string;
  /** Resolves when the turn is over, however it ended; rejects only if its end could not be stored. */
  readonly ended: Promise<EndedTurn>;
  /**
   * A reader of the events after a number; -1 reads from the start.
   * @param wake called when there is something to read and there was nothing before
   */
  follow(after: number, wake: () => void): Follower;
  /** When providers were asked so far, one after another; never where the turn was over before it was asked for. */
  readonly asked: readonly Span[];
}

/** From when to when by the clock of `performance.now()`; without an end it is still going on. */
export interface Span {
  from: number;
  to: number | null;
}

/** The log of a turn that runs here. */
export interface TurnLog extends LiveTurn {
  /** Takes the times of attempts from what happens on the turn's route. */
  note(event: RouteEvent | CallEvent): void;
  /** Adds an event under the next number and wakes the followers. */
  append(event: TurnEvent): void;
}

export interface Follower {
  /**
   * The next event; `expired` once if events were dropped before they were read, after which only the last event
   * follows; null if there is nothing yet, or nothing more after `over`.
   */
  next(): NumberedEvent | 'expired' | null;
  /** Whether nothing follows: the last event has been read, or stands at or before the number asked for. */
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
export function createTurnLog(id: string, maxBytes: number, ended: Promise<EndedTurn>): TurnLog {
  const log = createEvents();
  const asked: Span[] = [];
  let bytes = 0;
  return {
    id,
    ended,
    asked,
    follow: log.follow,
    note({ type }) {
      const last = asked.at(-1);
      if (type === 'attempt-started') asked.push({ from: performance.now(), to: null });
      else if (type === 'attempt-ended' && last !== undefined) last.to = performance.now();
    },
    append(event) {
      bytes += sizeOf(event);
      log.append(event);
      // Cut in runs, not one by one: removing from the front of an array moves all that is left.
      if (bytes > maxBytes) bytes -= log.drop(bytes - maxBytes / 2);
    },
  };
}

/** The same of a turn that is over, from its record. */
export function replay(ended: EndedTurn): LiveTurn {
  const log = createEvents();
  for (const event of tracedEvents(ended)) log.append(event);
  return { id: ended.turn.id, ended: Promise.resolve(ended), follow, asked: [] };

  function follow(after: number, wake: () => void): Follower {
    // Nobody knows which numbers a turn had given away when the server died in it, or before part of its output was deleted.
    const isLost = ended.turn.trace === null && after > 0;
    return log.follow(isLost ? BEFORE_ALL : after, wake);
  }
}

/** Asks for an event before the first: whoever does has fallen behind. */
const BEFORE_ALL = -2;

function createEvents() {
  const followers = new Set<() => void>();
  const events: TurnEvent[] = [];
  /** Number of the first event that is kept. */
  let first = 0;
  let isEnded = false;
  return { append, drop, follow };

  function append(event: TurnEvent): void {
    events.push(event);
    isEnded = isLast(event);
    for (const wake of followers) wake();
  }

  /** Drops so many bytes of the oldest events, though never the newest; returns how many it were. */
  function drop(target: number): number {
    let bytes = 0;
    let count = 0;
    for (const event of events) {
      if (bytes >= target || count === events.length - 1) break;
      bytes += sizeOf(event);
      count += 1;
    }
    events.splice(0, count);
    first += count;
    return bytes;
  }

  function follow(after: number, wake: () => void): Follower {
    let position = after + 1;
    let hasFallenBehind = false;
    let hasReadLast = false;
    let isIdle = true;
    const wakeOnce = () => {
      if (!isIdle) return;
      isIdle = false;
      wake();
    };
    followers.add(wakeOnce);
    if (isEnded || position < first + events.length) wakeOnce();
    return {
      next,
      get over() {
        return hasReadLast || (isEnded && position >= first + events.length);
      },
      close: () => followers.delete(wakeOnce),
    };

    function next(): NumberedEvent | 'expired' | null {
      if (position < first && !hasFallenBehind) {
        hasFallenBehind = true;
        return 'expired';
      }
      const index = hasFallenBehind ? events.length - 1 : position - first;
      const event = events[index];
      if (hasReadLast || event === undefined || (hasFallenBehind && !isLast(event))) {
        isIdle = true;
        return null;
      }
      position = first + index + 1;
      hasReadLast = isLast(event);
      return { number: first + index, event };
    }
  }
}

function sizeOf(event: TurnEvent): number {
  return EVENT_OVERHEAD_BYTES + lengthOf(event);
}

function lengthOf(event: TurnEvent): number {
  if ('text' in event) return event.text.length;
  if (event.type === 'frame') return event.frame.data.length;
  if (event.type === 'tool.started' || event.type === 'tool.requested') return event.call.arguments.length;
  if (event.type === 'tool.approval_requested') return event.request.arguments.length;
  if (event.type === 'tool.input_requested') return JSON.stringify(event.asked).length;
  if (event.type !== 'tool.completed') return 0;
  const { output, error, content, structured_content: structured } = event.call;
  const more =
    content === undefined && structured === undefined ? 0 : JSON.stringify([content, structured]).length;
  return (output ?? error ?? '').length + more;
}
