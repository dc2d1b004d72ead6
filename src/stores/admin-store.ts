/**
 * What operators keep: clients, their keys, the addresses that are not limited, the providers that are out of service,
 * what was accepted of servers' tools, what clients have used, and the log of every change; and what operators see of everybody's sessions and turns. It
 * lies in the same database as the store (store.ts), and the same rules hold: it makes no ids and no
 * times, a promise resolves when the effect is durable, each call is atomic, and it rejects with
 * `AppError('store_unavailable')` when the engine cannot be reached or written to; then nothing of the call has
 * happened, or all of it has. `admin-store.contract.ts` runs against every implementation.
 *
 * A method that takes an `AuditEntry` writes it in the same step as its change: there is no change without its
 * entry, and no entry without its change.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../conversation/client.ts';
import type { KnownTool, ToolSight } from '../conversation/known-tool.ts';
import type { Page, PageRequest, SearchedPage } from '../conversation/page.ts';
import type { Session } from '../conversation/session.ts';
import type { StoppedProvider } from '../conversation/stopped-provider.ts';
import type { TurnFilter, TurnSummary } from '../conversation/turn-summary.ts';
import type { UsagePlace, UsageSum, UsageTotal } from '../conversation/usage-count.ts';
import type { PortableStore } from './portable-store.ts';
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

  // Providers that are out of service

  /** Adds the provider, in the place of what was said of it before. */
  saveStoppedProvider(stopped: StoppedProvider, entry: AuditEntry): Promise<void>;

  /** False, and no entry, if the provider was not there. */
  deleteStoppedProvider(provider: string, entry: AuditEntry): Promise<boolean>;

  /** All of them by name, whether or not there is such a provider. */
  listStoppedProviders(): Promise<StoppedProvider[]>;

  // Tools of servers

  /** Adds those of the tools of which nothing is known yet; what is known of the others stays. */
  addKnownTools(tools: readonly KnownTool[]): Promise<void>;

  /** Keeps what the server says of a tool now, or that it says what was accepted. Nothing happens to one that is not known. */
  setWaitingTool(server: string, name: string, waiting: ToolSight | null): Promise<void>;

  /** Accepts what waits, if it has this fingerprint; else false, and no entry. */
  acceptTool(server: string, name: string, fingerprint: string, entry: AuditEntry): Promise<boolean>;

  /** Forgets the tool: it is seen for the first time again. False, and no entry, if it was not known. */
  forgetTool(server: string, name: string, entry: AuditEntry): Promise<boolean>;

  /** All of them by server and name, whether or not there is such a server. */
  listKnownTools(): Promise<KnownTool[]>;

  // Sessions and turns, whoever they belong to

  /**
   * Whose the session is; null if there is no such session. Whoever knows it goes on with `store.ts`: there is one way
   * to read a session, and one to list those of an owner.
   */
  ownerOf(sessionId: string): Promise<string | null>;

  /**
   * The sessions of all owners by id, which is the order of their making. One call looks at a bounded number, and may
   * find fewer than `limit`. `after` may name a session that is gone.
   */
  allSessions(page: PageRequest): Promise<SearchedPage<Session>>;

  /**
   * Deletes those of the sessions that are there and the owner's, each as `Store.deleteSession` does, and returns their
   * ids; no entry if there was none. Called with a hundred at most.
   */
  deleteSessions(owner: string, sessionIds: readonly string[], entry: AuditEntry): Promise<string[]>;

  /**
   * Turns by id, newest first, without the contents of the conversation. One call looks at a bounded number of turns,
   * however few of them the filter lets through; with a session at no others than that session's. The copies that a
   * fork makes have the time of their originals and ids of the fork's time.
   */
  recentTurns(query: TurnQuery): Promise<SearchedPage<TurnSummary>>;

  /** Null if there is no such turn, or its session was deleted. */
  findTurn(turnId: string): Promise<TurnSummary | null>;

  // Usage

  /**
   * Writes what a writer has counted in each place since it began to: totals, not differences. The place and the
   * writer are the key; of one that is there already, the larger of every number stays. So a write may be repeated,
   * may come late, and meets no other writer's. Called with a few hundred at most.
   */
  saveUsage(totals: readonly UsageTotal[]): Promise<void>;

  /**
   * Sums over all writers, in the order of day, owner, provider and model; `hasMore` says that there are others beyond
   * `limit`. Read in pieces, between which others are served: what is written meanwhile may be part of it or not.
   */
  readUsage(query: UsageQuery): Promise<Page<UsageSum>>;

  // The log

  /** Writes the entry of a change to what is kept nowhere, such as a target's breaker. Called before that change. */
  saveAudit(entry: AuditEntry): Promise<void>;

  /** By id, the order of the changes: `desc` is newest first. `after` need not name an entry that is there. */
  listAudit(page: PageRequest): Promise<Page<AuditEntry>>;
}

export interface TurnQuery extends TurnFilter {
  limit: number;
  /** The `lastId` of the page before; null starts at the newest. */
  after: string | null;
}

export interface UsageQuery {
  /** The first day and the last one, both included: `YYYY-MM-DD`. */
  from: string;
  to: string;
  /** Null sums the usage of all. */
  owner: string | null;
  /** What to tell apart; nothing makes one sum of all. */
  by: readonly (keyof UsagePlace)[];
  /** How many sums at most. */
  limit: number;
}

/** A store with what operators keep in it, and the whole of both. Closing the store closes all. */
export interface OpenedStore extends Store {
  readonly admin: AdminStore;
  readonly portable: PortableStore;
}
