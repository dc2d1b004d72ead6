/**
 * A turn that another server runs, as this one sees it: nothing until it is over, then all of it, made again from what
 * was stored. Whoever follows it waits; how long is up to the server that runs it, or to the end of its lease.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { Follower, LiveTurn } from './live-turn.ts';

/** How often the store is asked. Turns take seconds. */
const LOOK_AGAIN_MILLISECONDS = 250;

/**
 * @param look the turn from the store, once it is over; null while it runs. What it throws ends the waiting, but for
 * `store_unavailable`: an outage passes
 * @param closed ends the waiting when this server closes
 */
export function distantTurn(id: string, look: () => Promise<LiveTurn | null>, closed: AbortSignal): LiveTurn {
  const over = untilOver();
  const ended = over.then((live) => live.ended);
  // Not everybody who follows asks for the end.
  ended.catch(() => undefined);
  return { id, ended, follow, asked: [] };

  async function untilOver(): Promise<LiveTurn> {
    for (;;) {
      const live = await look().catch(unlessOutage);
      if (live !== null) return live;
      await pause(LOOK_AGAIN_MILLISECONDS, undefined, { ref: false, signal: closed }).catch(() => {
        throw new AppError('server_shutting_down');
      });
    }
  }

  function follow(after: number, wake: () => void): Follower {
    let follower: Follower | null = null;
    let isOver = false;
    over.then(
      (live) => {
        if (!isOver) follower = live.follow(after, wake);
      },
      () => {
        isOver = true;
        wake();
      },
    );
    return {
      next: () => follower?.next() ?? null,
      get over() {
        return follower?.over ?? isOver;
      },
      close() {
        isOver = true;
        follower?.close();
      },
    };
  }
}

function unlessOutage(error: unknown): null {
  if (error instanceof AppError && error.code === 'store_unavailable') return null;
  throw error;
}
