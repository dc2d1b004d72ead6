/**
 * Follows a turn that another server runs, which sends its events for as long as they are asked for (relays.ts). They may
 * not come, and then nothing does: what there is to read when the turn is over is the store's.
 */

import type { TurnEvent } from '../conversation/event.ts';
import { newId } from '../conversation/id.ts';
import type { Exchange, TurnName } from '../replicas/exchange.ts';
import type { NumberedEvent } from './live-turn.ts';

export interface DistantFollower {
  /** The next event; null if there is none yet. */
  next(): NumberedEvent | null;
  /** Number of the last event that was read. */
  readonly position: number;
  close(): void;
}

/** Events that are kept until they are read. */
const ROOM = 256;
const ASK_AGAIN_MILLISECONDS = 1000;

/** @param wake called when there is something to read and there was nothing before */
export function followDistant(
  exchange: Exchange,
  turn: TurnName,
  after: number,
  wake: () => void,
): DistantFollower {
  const follower = { id: newId(), server: exchange.self };
  let events: TurnEvent[] = [];
  /** Number of the last event that has come. */
  let received = after;
  /** Up to which number was asked. */
  let asked = after;
  const stop = exchange.listen((notice) => {
    if (notice.kind === 'events' && notice.followerId === follower.id) take(notice.first, notice.events);
  });
  const timer = setInterval(ask, ASK_AGAIN_MILLISECONDS).unref();
  ask();

  return {
    get position() {
      return received - events.length;
    },
    next() {
      const event = events.shift();
      if (event === undefined) return null;
      if (received === asked && events.length === 0) ask();
      return { number: received - events.length, event };
    },
    close() {
      clearInterval(timer);
      stop();
    },
  };

  function ask(again = false): void {
    const room = ROOM - events.length;
    asked = received + room;
    exchange.tell({ kind: 'follow', turn, follower, after: received, room, again });
  }

  function take(first: number, sent: readonly TurnEvent[]): void {
    // Something before it has not come; the turn's server knows by then that this has been told.
    if (first > received + 1) return ask(true);
    const fresh = sent.slice(received + 1 - first, received + 1 - first + ROOM - events.length);
    if (fresh.length === 0) return;
    const isIdle = events.length === 0;
    events = [...events, ...fresh];
    received += fresh.length;
    if (isIdle) wake();
  }
}
