/** Clients, who call the API, and what operators keep of them: keys, addresses that are not limited, the audit log. */

/** Null leaves it to the server's own limits. */
export interface ClientLimits {
  /** Requests a second, over time, of each key. */
  rps: number | null;
  /** Requests of each key at once, after a pause. */
  burst: number | null;
  /** Turns that run at the same time. */
  concurrentTurns: number | null;
  /** Tokens that models take and give in a minute, over time. */
  tokensPerMinute: number | null;
  /** The same from midnight to midnight, in UTC. */
  tokensPerDay: number | null;
}

/** What the turns of a client may take; null = as much as they like. */
export type TurnAllowance = Pick<ClientLimits, 'concurrentTurns' | 'tokensPerMinute' | 'tokensPerDay'>;

/** Of a client that has none of its own. */
export const NO_LIMITS: ClientLimits = {
  rps: null,
  burst: null,
  concurrentTurns: null,
  tokensPerMinute: null,
  tokensPerDay: null,
};

export interface Client {
  /** The owner of the sessions that the client makes; never empty. */
  id: string;
  /** For people to recognise it by; two clients may have the same. */
  name: string;
  limits: ClientLimits;
  /** Milliseconds since the epoch, as all times here. */
  createdAt: number;
  updatedAt: number;
}

/** A key by which a client is recognised. Its text is not part of it: nobody has that but the client. */
export interface ApiKey {
  id: string;
  clientId: string;
  /** The first characters of the text after its `pk_`, to tell keys apart by. */
  prefix: string;
  /** Of the text, as `hashKey` makes it. */
  hash: string;
  note: string | null;
  createdAt: number;
  /** From when on it is refused as expired; null = never. */
  expiresAt: number | null;
  /** From when on it is refused as revoked, which lies ahead where the key was replaced with a time of grace. */
  revokedAt: number | null;
  /** Within seconds; null = never. */
  lastUsedAt: number | null;
}

/** An address or network that the limiter lets pass. */
export interface BypassEntry {
  /** In its one normal form: the same network is never written in two ways. */
  network: string;
  note: string | null;
  createdAt: number;
  /** From when on it is limited again; null = never. */
  expiresAt: number | null;
}

/** A change that an operator has made. */
export interface AuditEntry {
  /** Sorts in the order of the changes. */
  id: string;
  at: number;
  /** What was done, such as `key.revoke`. */
  action: string;
  /** What it was done to: an id, or a network. */
  subject: string;
  /** JSON; no secret and no hash of one. */
  details: Readonly<Record<string, unknown>>;
}
