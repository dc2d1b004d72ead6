/**
 * A turn that another server runs, as this one sees it: its events as that server tells them, if it can be heard, and once
 * it is over all of them, made again from what was stored.
 */

import { AppError } from '../errors.ts';
import type { Exchange, TurnName } from '../replicas/exchange.ts';
import { followDistant } from './distant-follower.ts';
import type { Follower, LiveTurn } from './live-turn.ts';
import type { SessionWatch } from './session-watch.ts';

/** How often the store is asked where nobody tells that the turn is over. Turns take seconds. */
const LOOK_AGAIN_MILLISECONDS = 250;

export interface DistantTurnOptions {
  turn: TurnName;
  /**
   * The turn from the store, once it is over; null while it runs. What it throws ends the waiting, but for
   * `store_unavailable`: an outage passes.
   */
  look(): Promise<LiveTurn | null>;
  exchange: Exchange;
  watch: SessionWatch;
  /** Ends the waiting when this server closes. */
  closed: AbortSignal;
}

export function distantTurn({ turn, look, exchange, watch, closed }: DistantTurnOptions): LiveTurn {
  const over = untilOver();
  const ended = over.then((live) => live.ended);
  // Not everybody who follows asks for the end.
  ended.catch(() => undefined);
  return { id: turn.turnId, ended, follow, asked: [] };

  async function untilOver(): Promise<LiveTurn> {
    for (let looks = 0; ; looks += 1) {
      const live = await look().catch(unlessOutage);
      if (live !== null) return live;
      await watch.again(turn.sessionId, looks, LOOK_AGAIN_MILLISECONDS, closed).catch(() => {
        throw new AppError('server_shutting_down');
      });
    }
  }

  function follow(after: number, wake: () => void): Follower {
    const distant = followDistant(exchange, turn, after, wake);
    let stored: Follower | null = null;
    let isOver = false;
    over.then(
      (live) => {
        if (isOver) return;
        distant.close();
        // What has come and was not read is there as well, under the same numbers.
        stored = live.follow(distant.position, wake);
      },
      () => {
        isOver = true;
        wake();
      },
    );
    return {
      next: () => (stored ?? distant).next(),
      get over() {
        return stored?.over ?? isOver;
      },
      close() {
        isOver = true;
        distant.close();
        stored?.close();
      },
    };
  }
}

function unlessOutage(error: unknown): null {
  if (error instanceof AppError && error.code === 'store_unavailable') return null;
  throw error;
}
