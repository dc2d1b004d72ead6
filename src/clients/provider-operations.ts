/**
 * What operators do with providers: take one out of service, put it back, forget its failures. Which providers are out
 * of service is kept in the store, so that none comes back by a restart, and here in memory, where every turn asks.
 * What follows from it for a turn is routing's matter.
 */

import type { AuditEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { StoppedProvider } from '../conversation/stopped-provider.ts';
import type { AdminStore } from '../stores/admin-store.ts';

/** Providers are named as they are configured: whoever calls has looked the name up. */
export interface ProviderOperations {
  isInService(provider: string): boolean;
  /** What is known of a provider that is out of service; null if it is in service. */
  stopped(provider: string): StoppedProvider | null;
  /** Those that are out of service by name, whether or not they are configured. */
  allStopped(): StoppedProvider[];
  /**
   * Takes the provider out of service: turns that begin from now on do not ask it. One that is out already stays so
   * since when it was, with the new note if there is one.
   */
  stop(provider: string, note?: string | null): Promise<void>;
  /** Puts it back; nothing happens to one that is in service. */
  start(provider: string): Promise<void>;
  /**
   * Forgets what speaks against the provider's targets, or against the one with that model.
   * @param model null = all of them
   */
  reset(provider: string, model: string | null): Promise<void>;
  /** Does what operators have done at other servers and is stored nowhere but in the log of changes: resets. */
  repeat(entries: readonly AuditEntry[]): void;
  /** Reads anew which ones are out of service: other servers may have changed it. */
  reload(): Promise<void>;
}

export interface ProviderOperationsOptions {
  adminStore: Pick<
    AdminStore,
    'saveStoppedProvider' | 'deleteStoppedProvider' | 'listStoppedProviders' | 'saveAudit'
  >;
  breakers: {
    reset(provider: string, model: string | null): void;
  };
}

/** Resets that are known to have been made here: more than happen before the log of changes is looked at. */
const REMEMBERED = 50;

/** Reads which ones are out of service. Rejects with `store_unavailable` if that cannot be read. */
export async function createProviderOperations(
  options: ProviderOperationsOptions,
): Promise<ProviderOperations> {
  const { adminStore, breakers } = options;
  const kept = new Map<string, StoppedProvider>();
  /** Resets that were made here. */
  const done = new Set<string>();
  await reload();
  return {
    isInService: (provider) => !kept.has(provider),
    stopped: (provider) => kept.get(provider) ?? null,
    allStopped: () => [...kept.values()].sort((one, other) => (one.provider < other.provider ? -1 : 1)),
    stop,
    start,
    reset,
    repeat,
    reload,
  };

  async function reload(): Promise<void> {
    const all = await adminStore.listStoppedProviders();
    kept.clear();
    for (const one of all) kept.set(one.provider, one);
  }

  async function stop(provider: string, note?: string | null): Promise<void> {
    const before = kept.get(provider);
    const stopped: StoppedProvider = {
      provider,
      note: note === undefined ? (before?.note ?? null) : note,
      stoppedAt: before?.stoppedAt ?? Date.now(),
    };
    await adminStore.saveStoppedProvider(stopped, audit('provider.stop', provider, { note: stopped.note }));
    kept.set(provider, stopped);
  }

  async function start(provider: string): Promise<void> {
    if (!kept.has(provider)) return;
    // Not what the store answers counts: of a try that failed it may have kept all, and then has nothing to delete.
    await adminStore.deleteStoppedProvider(provider, audit('provider.start', provider, {}));
    kept.delete(provider);
  }

  async function reset(provider: string, model: string | null): Promise<void> {
    const entry = audit('provider.reset', provider, { model });
    // Before it is seen in the log: what happens after the reset is not to be forgotten.
    done.add(entry.id);
    const [oldest] = done;
    if (done.size > REMEMBERED && oldest !== undefined) done.delete(oldest);
    await adminStore.saveAudit(entry);
    breakers.reset(provider, model);
  }

  function repeat(entries: readonly AuditEntry[]): void {
    for (const { id, action, subject, details } of entries) {
      if (action !== 'provider.reset' || done.delete(id)) continue;
      breakers.reset(subject, typeof details['model'] === 'string' ? details['model'] : null);
    }
  }
}

function audit(action: string, subject: string, details: AuditEntry['details']): AuditEntry {
  return { id: newId(), at: Date.now(), action, subject, details };
}
