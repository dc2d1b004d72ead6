/** A session: a conversation's owner, its settings and its head, the turn that the next one follows. */

import type { ServedBy } from './turn.ts';

/** The session's id of a turn that is in none. */
export const NO_SESSION = '';

/** `none`, or servers (`files`) and tools of servers (`files.read_*`), both as patterns. */
export type ToolChoice = 'none' | readonly string[];

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
  /** Tools that the model may use: `none`, or patterns of servers and of their tools; null = the server's default. */
  tools: ToolChoice | null;
  metadata: Readonly<Record<string, string>>;
  /** Seconds after its last change after which the session is gone; null = it stays. */
  ttlSeconds: number | null;
}

/** What can be changed: the settings, and that the next turn chooses its target anew. */
export type SessionChange = Partial<SessionSettings & { servedBy: null }>;

export interface Session extends SessionSettings {
  id: string;
  /** The client it belongs to; nobody else can tell it from a missing one. */
  owner: string;
  headTurnId: string | null;
  /** The target that answered in the head; null if none did, or the choice was changed since. */
  servedBy: ServedBy | null;
  /** Milliseconds since the epoch, as all times in the code. */
  createdAt: number;
  /** When a setting or the head changed last. */
  updatedAt: number;
}

/** When the session expires, in milliseconds since the epoch; null = never. */
export function expiresAt({
  ttlSeconds,
  updatedAt,
}: Pick<Session, 'ttlSeconds' | 'updatedAt'>): number | null {
  return ttlSeconds === null ? null : updatedAt + ttlSeconds * 1000;
}

/** Whether the session's time is over: it is gone, though a sweep may still have to delete it. */
export function isExpired(session: Pick<Session, 'ttlSeconds' | 'updatedAt'>, now: number): boolean {
  const end = expiresAt(session);
  return end !== null && end <= now;
}
