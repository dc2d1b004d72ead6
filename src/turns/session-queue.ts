/**
 * The line before a session: its turns run one after another within this process. Whoever comes while one runs
 * waits in the order of coming, is refused, or interrupts: then the running turn is cancelled, and the one that
 * interrupts comes before those that wait. Of several that interrupt, each cancels those before it.
 */

import { AppError } from '../errors.ts';
import { queueFull, sessionBusy } from './entrance.ts';
import type { OnBusy } from './turn-request.ts';

export interface SessionQueue {
  /** @param line names a session and whose it is */
  isBusy(line: string): boolean;
  /**
   * Waits until the session is free for this caller. Throws `session_busy` for who does not want to wait,
   * `session_queue_full` if too many wait already, and `turn_cancelled` for who gives up.
   * @param signal aborts when the caller gives up waiting
   */
  enter(line: string, onBusy: OnBusy, signal: AbortSignal): Promise<Place>;
  /** Lets nobody in any more: all who wait, and all who come, are refused with this error. */
  refuse(error: AppError): void;
}

/** The right to run a turn in a session. */
export interface Place {
  /** Aborts when the turn is to be ended early, with its error as the reason. */
  readonly signal: AbortSignal;
  cancel(reason: AppError): void;
  /** Lets the next one in. */
  leave(): void;
}

interface Waiting {
  place: Place;
  letIn: () => void;
  refuse: (error: AppError) => void;
}

interface Line {
  running: Place;
  /** First come, first served; those that interrupt before the others. */
  interrupting: Waiting[];
  waiting: Waiting[];
}

/** @param maxWaiting how many may wait per session beside the one that runs */
export function createSessionQueue(maxWaiting: number): SessionQueue {
  /** The sessions with a running turn. */
  const lines = new Map<string, Line>();
  let refusal: AppError | null = null;
  return { isBusy: (sessionId) => lines.has(sessionId), enter, refuse };

  async function enter(sessionId: string, onBusy: OnBusy, signal: AbortSignal): Promise<Place> {
    if (refusal !== null) throw refusal;
    const place = createPlace(sessionId);
    const line = lines.get(sessionId);
    if (line === undefined) {
      lines.set(sessionId, { running: place, interrupting: [], waiting: [] });
      return place;
    }
    if (onBusy === 'reject') throw sessionBusy(null);
    const waiting = line.waiting.length + line.interrupting.length;
    if (waiting >= maxWaiting) {
      throw queueFull(waiting);
    }
    if (onBusy === 'queue') return wait(line.waiting, place, signal);
    for (const { place: earlier } of line.interrupting) earlier.cancel(new AppError('turn_cancelled'));
    line.running.cancel(new AppError('turn_cancelled'));
    return wait(line.interrupting, place, signal);
  }

  function refuse(error: AppError): void {
    refusal = error;
    for (const { interrupting, waiting } of lines.values()) {
      for (const one of [...interrupting.splice(0), ...waiting.splice(0)]) one.refuse(error);
    }
  }

  function createPlace(sessionId: string): Place {
    const controller = new AbortController();
    let left = false;
    return {
      signal: controller.signal,
      cancel: (reason) => controller.abort(reason),
      leave() {
        if (left) return;
        left = true;
        letNextIn(sessionId);
      },
    };
  }

  function letNextIn(sessionId: string): void {
    const line = lines.get(sessionId);
    const next = line?.interrupting.shift() ?? line?.waiting.shift();
    if (line === undefined || next === undefined) {
      lines.delete(sessionId);
    } else {
      line.running = next.place;
      next.letIn();
    }
  }
}

function wait(line: Waiting[], place: Place, signal: AbortSignal): Promise<Place> {
  const { promise, resolve, reject } = Promise.withResolvers<Place>();
  const waiting: Waiting = { place, letIn: () => resolve(place), refuse: reject };
  const giveUp = () => {
    const index = line.indexOf(waiting);
    if (index === -1) return;
    line.splice(index, 1);
    reject(new AppError('turn_cancelled'));
  };
  line.push(waiting);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  return promise.finally(() => signal.removeEventListener('abort', giveUp));
}
