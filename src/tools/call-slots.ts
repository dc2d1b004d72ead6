/** Places for calls that run at the same time. Who finds none waits, first come, first served. */

export interface CallSlots {
  /** Resolves with the function that gives the place back, once. Rejects with the signal's reason. */
  take(signal?: AbortSignal): Promise<() => void>;
}

export function createCallSlots(count: number): CallSlots {
  let free = count;
  const waiting = new Set<() => void>();
  return { take };

  async function take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (free > 0) free -= 1;
    else await turn(signal);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const [next] = waiting;
      // The place goes from hand to hand, or somebody who comes now would get before those who wait.
      if (next === undefined) free += 1;
      else next();
    };
  }

  function turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(enter);
        signal?.removeEventListener('abort', onAbort);
      };
      const enter = () => {
        leave();
        resolve();
      };
      const onAbort = () => {
        leave();
        reject(signal?.reason);
      };
      waiting.add(enter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
