/** The moments in the life of turns at which a server may be killed, as those who see them report them. */

export const MOMENTS = ['sent', 'asked', 'piece', 'answered', 'acknowledged'] as const;

/**
 * - `sent`: a client is about to send a message, so that a turn is about to begin.
 * - `asked`: a turn has begun, and its provider was asked.
 * - `piece`: the provider is about to send a piece of an answer that is being streamed.
 * - `answered`: the provider has sent the last piece, so that the turn is about to be committed.
 * - `acknowledged`: a client has read an answer.
 */
export type Moment = (typeof MOMENTS)[number];

export interface Moments {
  /** Says that it is here. */
  reached(moment: Moment): void;
  /** Resolves when the moment has come so many times from now on. */
  come(moment: Moment, times: number): Promise<void>;
}

export function createMoments(): Moments {
  const waiting = new Set<{ moment: Moment; times: number; resolve: () => void }>();
  return { reached, come };

  function reached(moment: Moment): void {
    for (const waiter of waiting) {
      if (waiter.moment !== moment) continue;
      waiter.times -= 1;
      if (waiter.times > 0) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  }

  function come(moment: Moment, times: number): Promise<void> {
    return new Promise((resolve) => {
      waiting.add({ moment, times, resolve });
    });
  }
}
