/**
 * Changes that operators make at other servers, where servers share a store: looked for in the log of changes, of which
 * every change has its entry. What a change means is read anew by those who keep it in memory.
 */

import type { AuditEntry } from '../conversation/client.ts';
import type { AdminStore } from '../stores/admin-store.ts';

export interface ChangeWatch {
  close(): Promise<void>;
}

export interface ChangeWatchOptions {
  adminStore: Pick<AdminStore, 'listAudit'>;
  /** Reads anew what may have changed. What it rejects with is tried again. @param entries of what was done since */
  onChange(entries: readonly AuditEntry[]): Promise<void>;
  /** Told once when the store cannot be asked, and again only after it could in between. */
  onFailure(error: unknown): void;
}

/** A change is everywhere within a second, with the time that it takes to read it. */
const LOOK_MILLISECONDS = 500;

/**
 * Entries that are compared. Ids are those of the clock of whoever made them: a change at a server whose clock is behind
 * is not the newest entry, but among these.
 */
const NEWEST = 50;

/** What was read by now is taken to be up to date. Does not keep the process alive. */
export async function createChangeWatch({
  adminStore,
  onChange,
  onFailure,
}: ChangeWatchOptions): Promise<ChangeWatch> {
  let known = idsOf(await newest());
  let failing = false;
  let underWay: Promise<void> | null = null;
  const timer = setInterval(() => {
    // While a store is slow or silent, looks that were missed are not made up for.
    underWay ??= lookInTime().finally(() => {
      underWay = null;
    });
  }, LOOK_MILLISECONDS).unref();

  return {
    async close() {
      clearInterval(timer);
      await underWay;
    },
  };

  async function lookInTime(): Promise<void> {
    try {
      const found = await newest();
      const fresh = found.filter(({ id }) => !known.has(id));
      if (fresh.length > 0) await onChange(fresh);
      // After it: what could not be read is looked for again.
      known = idsOf(found);
      failing = false;
    } catch (error) {
      if (!failing) onFailure(error);
      failing = true;
    }
  }

  async function newest(): Promise<AuditEntry[]> {
    const { data } = await adminStore.listAudit({ limit: NEWEST, after: null, order: 'desc' });
    return data;
  }
}

function idsOf(entries: readonly AuditEntry[]): Set<string> {
  return new Set(entries.map(({ id }) => id));
}
