/** A turn as operators see it in lists: who, when, with which outcome, and nothing of what was said. */

import type { Turn, TurnStatus } from './turn.ts';

/** Without `trace` as well, which keeps what was said before a restart. */
export interface TurnSummary extends Omit<Turn, 'input' | 'output' | 'seenPlaces' | 'trace'> {
  owner: string;
}

/** Null looks for all. */
export interface TurnFilter {
  status: TurnStatus | null;
  /** Of the turn, that is who answered, or was tried last. */
  provider: string | null;
  owner: string | null;
  sessionId: string | null;
  /** Milliseconds since the epoch: turns that began then or later. */
  since: number | null;
}
