/**
 * When keys were used last, brought to the store in batches: a write for every request would cost more than the
 * request. What a crash takes with it is the uses of the last seconds.
 */

import type { AdminStore } from '../stores/admin-store.ts';

export interface KeyUses {
  note(keyId: string, at: number): void;
  /** Brings what there is to the store, and rejects if that cannot be. Nothing may be noted afterwards. */
  close(): Promise<void>;
}

const PAUSE_MILLISECONDS = 10_000;

/**
 * Does not keep the process alive.
 * @param onFailure told once when the store cannot be written to, and again only after it could in between
 */
export function createKeyUses(
  adminStore: Pick<AdminStore, 'noteKeyUses'>,
  onFailure: (error: unknown) => void,
): KeyUses {
  let uses = new Map<string, number>();
  let failing = false;
  let underWay: Promise<void> | null = null;
  const timer = setInterval(() => {
    // A store that is slower than the pause is given the next batch at the first time after it has taken this one.
    underWay ??= flushInTime().finally(() => {
      underWay = null;
    });
  }, PAUSE_MILLISECONDS).unref();

  return { note, close };

  function note(keyId: string, at: number): void {
    uses.set(keyId, at);
  }

  async function flushInTime(): Promise<void> {
    try {
      await flush();
      failing = false;
    } catch (error) {
      if (!failing) onFailure(error);
      failing = true;
    }
  }

  async function flush(): Promise<void> {
    const batch = uses;
    if (batch.size === 0) return;
    uses = new Map();
    try {
      await adminStore.noteKeyUses(batch);
    } catch (error) {
      // For the next time, but for what is known better by now.
      uses = new Map([...batch, ...uses]);
      throw error;
    }
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    await underWay;
    await flush();
  }
}
