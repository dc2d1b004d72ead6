/** A session: a conversation's owner, its settings and its head, the turn that the next one follows. */

export interface SessionSettings {
  title: string | null;
  /** A provider's name; null leaves the choice to the request or the server's default. */
  provider: string | null;
  model: string | null;
  /** Tried in order after the provider fails; null = the server's list, empty = none. */
  fallbackProviders: readonly string[] | null;
  /** Places in the window; null = the server's default. */
  memoryLimit: number | null;
  /** Estimated tokens of the window with instructions; null = no limit by tokens. */
  maxContextTokens: number | null;
  instructions: string | null;
  metadata: Readonly<Record<string, string>>;
}

export interface Session extends SessionSettings {
  id: string;
  /** The client it belongs to; nobody else can tell it from a missing one. */
  owner: string;
  headTurnId: string | null;
  /** Milliseconds since the epoch, as all times in the code. */
  createdAt: number;
  /** When a setting or the head changed last. */
  updatedAt: number;
}
