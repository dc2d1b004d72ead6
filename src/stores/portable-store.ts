/**
 * The store as a whole, to be carried into another one, whatever engines the two are on: all that it holds as a stream
 * of records, and a store made of such a stream. `portable-store.contract.ts` runs against every pair of engines.
 *
 * Records are what was stored, not what an engine has made of it: places, pointers, lists and buckets are made anew by
 * the rules of the store that takes the records in. Items, and what else is known of a turn, are JSON texts that are
 * passed on as they are.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../conversation/client.ts';
import type { RequestKey } from '../conversation/request-key.ts';
import type { Session } from '../conversation/session.ts';
import type { StoppedProvider } from '../conversation/stopped-provider.ts';
import type { FinalStatus, TurnError } from '../conversation/turn.ts';
import type { UsageTotal } from '../conversation/usage-count.ts';

export interface PortableStore {
  /** How many sessions there are: about, but 0 only if there is none. */
  countSessions(): Promise<number>;

  /**
   * All that the store holds, in pieces that are read as the caller asks for more: first what operators keep, with the
   * log and usage, then session by session in the order of their ids, and the keys under which sessions were made. A
   * session is followed by its turns in the order of their beginning, whatever has become of them, and by their keys.
   * A turn that is running is `failed` here; the store itself is not changed.
   *
   * While others write to the store, each session is as it was at some moment of the dump, and what is made meanwhile
   * may be part of it or not. One that is deleted in the middle of it is followed by `sessionGone`.
   */
  dump(moment: DumpMoment): AsyncIterable<PortableRecord>;

  /**
   * Adds what the records say, in the order in which `dump` gives them. What is there already stays as it is: a session,
   * a client, a key of one's own id, a network, an entry of the log; of usage the larger numbers stay. So whatever was
   * broken off can be done again from its beginning. A session appears with all of its turns, or not at all.
   *
   * Records are asked for a bounded number ahead of what is written. Rejects with `store_unavailable` as other calls do,
   * and with an `Error` for records that do not belong together; what came before them stays. Closing the store does not
   * wait for it.
   */
  restore(records: AsyncIterable<PortableRecord>): Promise<Restored>;
}

export interface DumpMoment {
  /** Milliseconds since the epoch: keys that have expired by then are left out, and running turns end then. */
  now: number;
  /** What running turns fail with. */
  interrupted: TurnError;
}

export interface Restored {
  /** Sessions that were added. */
  sessions: number;
  /** Sessions that were there already. */
  known: number;
}

/** What a record of each kind holds. */
export interface PortableValues {
  client: Client;
  key: ApiKey;
  bypass: BypassEntry;
  stoppedProvider: StoppedProvider;
  audit: AuditEntry;
  usage: UsageTotal;
  session: Session;
  turn: PortableTurn;
  turnKey: PortableTurnKey;
  /** The session before, which was deleted while it was read: there is none. */
  sessionGone: { id: string };
  sessionKey: PortableSessionKey;
}

export type PortableKind = keyof PortableValues;

export type PortableRecord = {
  [Kind in PortableKind]: { kind: Kind; value: PortableValues[Kind] };
}[PortableKind];

/** A turn of the session before it, with the items that it has: of those that were deleted nothing is told. */
export interface PortableTurn {
  id: string;
  sessionId: string;
  parentId: string | null;
  status: FinalStatus;
  createdAt: number;
  completedAt: number;
  /** JSON texts: arrays of items, and a `TurnRecord`. */
  input: string;
  output: string;
  record: string;
}

/** The key of a request that has begun a turn of the session before it. */
export interface PortableTurnKey extends Omit<RequestKey, 'takesOver'> {
  sessionId: string;
  turnId: string;
}

/** The key of a request that has made a session. */
export interface PortableSessionKey extends Omit<RequestKey, 'takesOver'> {
  owner: string;
  sessionId: string;
}
