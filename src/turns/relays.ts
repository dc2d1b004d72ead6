/**
 * Shows the events of turns that run here to the servers on which somebody follows them, as far as those have room for
 * them. A follower says again and again what it has, so that whatever is lost on the way is sent once more.
 */

import { isLast, type TurnEvent } from '../conversation/event.ts';
import type { Exchange, Notice, TurnName } from '../replicas/exchange.ts';
import type { Follower, LiveTurn } from './live-turn.ts';

export interface RelaysOptions {
  exchange: Exchange;
  /** The turn, if it runs here. */
  find(turn: TurnName): LiveTurn | undefined;
}

interface Relay {
  follower: Follower;
  /** Number of the last event that was sent. */
  sent: number;
  sentAt: number;
  /** Number of the last event that the follower has room for. */
  limit: number;
  askedAt: number;
  isScheduled: boolean;
}

type FollowNotice = Extract<Notice, { kind: 'follow' }>;

/** Pieces come one by one, and are sent together: half of what people notice as a delay, many times over. */
const BATCH_MILLISECONDS = 10;
/** Of text in one notice. */
const BATCH_LENGTH = 64 * 1024;
/** What was sent so long ago and has not arrived never will. */
const LOST_MILLISECONDS = 500;
/** A follower asks every second. */
const GONE_MILLISECONDS = 3000;

/** Relays as long as the exchange is open. */
export function createRelays({ exchange, find }: RelaysOptions): void {
  const relays = new Map<string, Relay>();
  exchange.listen((notice) => {
    if (notice.kind === 'follow') follow(notice);
  });

  function follow(notice: FollowNotice): void {
    const { follower, after, room, again } = notice;
    const now = performance.now();
    const known = relays.get(follower.id);
    const isLost = known !== undefined && after < known.sent && now - known.sentAt > LOST_MILLISECONDS;
    const relay = known === undefined || again || isLost ? open(notice) : known;
    if (relay === null) return;
    relay.limit = after + room;
    relay.askedAt = now;
    schedule(notice, relay);
  }

  /** Null if the turn does not run here. */
  function open(notice: FollowNotice): Relay | null {
    const { id } = notice.follower;
    close(id);
    const turn = find(notice.turn);
    if (turn === undefined) return null;
    const times = { sentAt: 0, askedAt: 0, isScheduled: false };
    const wake = () => {
      const relay = relays.get(id);
      if (relay !== undefined) schedule(notice, relay);
    };
    const relay: Relay = {
      follower: turn.follow(notice.after, wake),
      sent: notice.after,
      limit: 0,
      ...times,
    };
    relays.set(id, relay);
    return relay;
  }

  function schedule(notice: FollowNotice, relay: Relay): void {
    if (relay.isScheduled) return;
    relay.isScheduled = true;
    setTimeout(() => {
      relay.isScheduled = false;
      if (relays.get(notice.follower.id) === relay) send(notice, relay);
    }, BATCH_MILLISECONDS).unref();
  }

  function send({ follower: { id, server } }: FollowNotice, relay: Relay): void {
    if (performance.now() - relay.askedAt > GONE_MILLISECONDS) return close(id);
    let events: TurnEvent[] = [];
    let length = 0;
    while (relay.sent < relay.limit) {
      const next = relay.follower.next();
      // What this log has lost, and the end of the turn, are in the store when the turn is over.
      if (next === 'expired' || (next !== null && isLast(next.event))) {
        tell();
        return close(id);
      }
      if (next === null) break;
      events.push(next.event);
      relay.sent = next.number;
      length += 'text' in next.event ? next.event.text.length : 0;
      if (length >= BATCH_LENGTH) tell();
    }
    tell();

    function tell(): void {
      if (events.length === 0) return;
      relay.sentAt = performance.now();
      const first = relay.sent - events.length + 1;
      exchange.tell({ kind: 'events', followerId: id, first, events }, server);
      events = [];
      length = 0;
    }
  }

  function close(id: string): void {
    relays.get(id)?.follower.close();
    relays.delete(id);
  }
}
