/** What the clients of a session were told, and what the server shows of it: the evidence that the checker judges. */

import type { StreamEvent } from '../acceptance/client.ts';

export interface SessionHistory {
  sessionId: string;
  /** All messages that anybody tried to send. */
  told: readonly ToldMessage[];
  /** As it was while nobody was sending: no turn runs. */
  shown: ShownSession;
  /** Why turns may have failed, by code. */
  failures: ReadonlySet<string>;
  /** Whether the clients are done: then no message is without an answer. */
  final: boolean;
}

/** A message with its key, and what came of all attempts to send it. Times count the events of the campaign. */
export interface ToldMessage {
  text: string;
  key: string;
  sentAt: number;
  attempts: number;
  acknowledgements: Acknowledgement[];
  /** What broken streams had told when they broke. */
  broken: BrokenStream[];
}

export interface Acknowledgement {
  /** When the attempt was sent that was acknowledged. */
  sentAt: number;
  at: number;
  /** How many attempts there had been, this one included. */
  attempt: number;
  answer: ToldAnswer;
  /** All of the turn's events, if the answer was streamed. */
  events: readonly StreamEvent[] | null;
  /** Whether the answer said that its turn was there already; null if a broken stream was read on, which says nothing. */
  replayed: boolean | null;
}

/** The JSON of an answer, as far as the checker knows it; all of it is compared. */
export interface ToldAnswer {
  session_id: string;
  turn_id: string;
  message: { id: string; role: string; content: string };
  [field: string]: unknown;
}

export interface BrokenStream {
  turnId: string;
  events: readonly StreamEvent[];
}

export interface ShownSession {
  /** The conversation, oldest first. */
  messages: readonly ShownMessage[];
  /** In the order of their beginning. */
  turns: readonly ShownTurn[];
  /** The events of ended turns by the turn's id, for those that were read again. */
  events: ReadonlyMap<string, readonly StreamEvent[]>;
}

export interface ShownMessage {
  id: string;
  turn_id: string;
  role: string;
  content: string;
}

export interface ShownTurn {
  id: string;
  status: string;
  parent_turn_id: string | null;
  error: { code: string } | null;
}

/** A turn as the server shows it, with what the checker of a session does not look at. */
export interface TurnRecord extends ShownTurn {
  session_id: string;
  model: string | null;
  usage: { total_tokens: number } | null;
  created_at: string;
  completed_at: string | null;
}

/** A session that was made under a key, and the ids that were told each time the key was sent. */
export interface ToldCreation {
  key: string;
  ids: string[];
}

/** A session as the list shows it; its metadata names the key that it was made under. */
export interface ListedSession {
  id: string;
  metadata: Readonly<Record<string, string>>;
}
