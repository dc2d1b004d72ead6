/** The addresses and networks that are not limited, as operators keep them. */

import type { AuditEntry, BypassEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';

export interface Bypass {
  /** Those that have not expired, in the order of their networks. */
  list(): BypassEntry[];
  /** Adds the network, or replaces what was said of it, and resolves when it holds. */
  add(entry: Pick<BypassEntry, 'network' | 'note' | 'expiresAt'>): Promise<BypassEntry>;
  /** Throws `bypass_not_found`. */
  remove(network: string): Promise<void>;
  /** Reads all of them anew: other servers may have changed them. */
  reload(): Promise<void>;
}

export interface BypassOptions {
  adminStore: Pick<AdminStore, 'saveBypass' | 'deleteBypass' | 'listBypass'>;
  /** Told of all entries, at the start and after every change. */
  onChange(entries: readonly BypassEntry[]): void;
}

/** Reads what there is. Networks are compared as text: whoever calls gives them in their normal form. */
export async function createBypass({ adminStore, onChange }: BypassOptions): Promise<Bypass> {
  const entries = new Map<string, BypassEntry>();
  await reload();
  return { list, add, remove, reload };

  async function reload(): Promise<void> {
    const kept = await adminStore.listBypass();
    entries.clear();
    for (const entry of kept) entries.set(entry.network, entry);
    changed();
  }

  function list(): BypassEntry[] {
    const now = Date.now();
    return [...entries.values()]
      .filter(({ expiresAt }) => expiresAt === null || expiresAt > now)
      .sort((one, other) => (one.network < other.network ? -1 : 1));
  }

  async function add(given: Pick<BypassEntry, 'network' | 'note' | 'expiresAt'>): Promise<BypassEntry> {
    const entry: BypassEntry = { ...given, createdAt: Date.now() };
    const { network, note, expiresAt } = entry;
    await adminStore.saveBypass(entry, audit('bypass.add', network, { note, expiresAt }));
    entries.set(network, entry);
    changed();
    return entry;
  }

  async function remove(network: string): Promise<void> {
    if (!entries.has(network)) throw new AppError('bypass_not_found');
    // Not what the store answers counts: of a try that failed it may have kept all, and then has nothing to delete.
    await adminStore.deleteBypass(network, audit('bypass.remove', network, {}));
    entries.delete(network);
    changed();
  }

  function changed(): void {
    onChange([...entries.values()]);
  }
}

function audit(action: string, subject: string, details: AuditEntry['details']): AuditEntry {
  return { id: newId(), at: Date.now(), action, subject, details };
}
