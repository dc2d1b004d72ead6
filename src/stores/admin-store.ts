/**
 * What operators keep: clients, their keys, the addresses that are not limited, and the log of every change to
 * these. It lies in the same database as the store (store.ts), and the same rules hold: it makes no ids and no
 * times, a promise resolves when the effect is durable, each call is atomic, and it rejects with
 * `AppError('store_unavailable')` when the engine cannot be reached or written to; then nothing of the call has
 * happened, or all of it has. `admin-store.contract.ts` runs against every implementation.
 *
 * A method that takes an `AuditEntry` writes it in the same step as its change: there is no change without its
 * entry, and no entry without its change.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../conversation/client.ts';
import type { Page, PageRequest } from '../conversation/page.ts';
import type { Store } from './store.ts';

export interface AdminStore {
  // Clients

  /** Adds the client; one of that id that is there already becomes what is given, except for `createdAt`. */
  saveClient(client: Client, entry: AuditEntry): Promise<void>;

  /** By id, which is the order of their making. `after` may name a client that is gone. */
  listClients(page: PageRequest): Promise<Page<Client>>;

  /**
   * Deletes the client and revokes its keys as of `revokedAt`, those excepted that were revoked before. The keys
   * stay, so that whoever still uses one is told what has become of it; so do the client's sessions. False, and
   * no entry, if there was none.
   */
  deleteClient(clientId: string, revokedAt: number, entry: AuditEntry): Promise<boolean>;

  // Keys

  /**
   * Adds the keys. Of one whose id is there already, the note, `expiresAt` and `revokedAt` become what is given,
   * and everything else stays. Called with two when one takes the place of the other.
   */
  saveKeys(keys: readonly ApiKey[], entry: AuditEntry): Promise<void>;

  /** All keys by id, revoked ones and those of deleted clients included. Called once, at the start. */
  listKeys(): Promise<ApiKey[]>;

  /**
   * Remembers when keys were used last. A time before the one that is known changes nothing, nor does a key that
   * is not there.
   * @param uses milliseconds since the epoch, by the key's id
   */
  noteKeyUses(uses: ReadonlyMap<string, number>): Promise<void>;

  // Addresses that are not limited

  /** Adds the entry, in the place of one of the same network. */
  saveBypass(bypass: BypassEntry, entry: AuditEntry): Promise<void>;

  /** False, and no entry, if the network was not there. */
  deleteBypass(network: string, entry: AuditEntry): Promise<boolean>;

  /** All of them by network, expired ones included. */
  listBypass(): Promise<BypassEntry[]>;

  // The log

  /** By id, the order of the changes: `desc` is newest first. `after` need not name an entry that is there. */
  listAudit(page: PageRequest): Promise<Page<AuditEntry>>;
}

/** A store with what operators keep in it. Closing the store closes both. */
export interface OpenedStore extends Store {
  readonly admin: AdminStore;
}
