/** Turns of one session run one after another, in the order in which they came, within this process. */

import { AppError } from '../errors.ts';

export interface SessionQueue {
  /**
   * Waits until it is this caller's turn and resolves with a function that lets the next one in. Throws
   * `session_queue_full` if too many wait already.
   */
  enter(sessionId: string): Promise<() => void>;
}

/** What a refused caller is told to wait. Turns take seconds, and one that ends makes room. */
const RETRY_AFTER_SECONDS = 1;

/** @param maxWaiting how many may wait per session beside the one that runs */
export function createSessionQueue(maxWaiting: number): SessionQueue {
  /** The sessions with a running turn, and who waits in each. */
  const waiting = new Map<string, (() => void)[]>();
  return { enter };

  async function enter(sessionId: string): Promise<() => void> {
    const queue = waiting.get(sessionId);
    if (queue === undefined) {
      waiting.set(sessionId, []);
    } else {
      if (queue.length >= maxWaiting) {
        const details = { waiting: queue.length, retry_after: RETRY_AFTER_SECONDS };
        throw new AppError('session_queue_full', details);
      }
      await new Promise<void>((resolve) => queue.push(resolve));
    }
    let left = false;
    return () => {
      if (left) return;
      left = true;
      leave(sessionId);
    };
  }

  function leave(sessionId: string): void {
    const next = waiting.get(sessionId)?.shift();
    if (next === undefined) waiting.delete(sessionId);
    else next();
  }
}
