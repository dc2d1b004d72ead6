/** The entrance to a store that this server has for itself: who waits, waits in a line in this process. */

import type { Turn } from '../conversation/turn.ts';
import type { BeginTurn } from './begin-turn.ts';
import { type Entered, type Entrance, lineOf, sessionBusy } from './entrance.ts';
import { createSessionQueue } from './session-queue.ts';
import type { TurnRequest } from './turn-request.ts';

export interface OwnEntranceOptions {
  begin: BeginTurn;
  /** How many may wait for a session whose turn is running. */
  queueMax: number;
  /** The turn that runs in the session; null if there is none, or it is not the owner's. */
  runningTurn(owner: string, sessionId: string): string | null;
}

export function createOwnEntrance({ begin, queueMax, runningTurn }: OwnEntranceOptions): Entrance {
  const queue = createSessionQueue(queueMax);
  return { enter, refuse: queue.refuse };

  async function enter(request: TurnRequest, turn: Turn, signal: AbortSignal): Promise<Entered> {
    const { owner, sessionId, onBusy } = request;
    const line = lineOf(request);
    // What was done already is neither made to wait, nor does it interrupt anybody.
    const known = queue.isBusy(line) ? await begin.doneBefore(request, turn) : null;
    if (known !== null) return { outcome: known, place: null };
    // The line of a session that is somebody else's is no more than who else asks for it in vain.
    if (onBusy === 'reject' && queue.isBusy(line)) throw sessionBusy(runningTurn(owner, sessionId));
    const place = await queue.enter(line, onBusy, signal);
    let hasBegun = false;
    try {
      const { outcome, slot } = await begin.now(request, turn);
      if (outcome.kind !== 'begun') return { outcome, place: null };
      hasBegun = true;
      const leave = async () => {
        const isFree = slot?.release();
        place.leave();
        await isFree;
      };
      return { outcome, place: { ...place, leave } };
    } finally {
      if (!hasBegun) place.leave();
    }
  }
}
