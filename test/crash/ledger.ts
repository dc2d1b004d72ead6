/** What the clients of one server write down: all they sent, all they were told, and what nobody expected. */

import type { ToldCreation, ToldMessage } from './history.ts';

export interface Ledger {
  /** The messages of each session, in the order of their sending. */
  readonly sessions: ReadonlyMap<string, ToldMessage[]>;
  readonly creations: readonly ToldCreation[];
  /** Answers that no promise allows, in words. */
  readonly surprises: readonly string[];
  readonly counts: Counts;
  /** The next number of the campaign's own time, which orders what clients saw. */
  tick(): number;
  /** A new message of the session, with a text and a key that no other has. */
  newMessage(sessionId: string): ToldMessage;
  newCreation(): ToldCreation;
  addSession(sessionId: string): void;
  surprise(what: string): void;
}

export interface Counts {
  attempts: number;
  /** Attempts that ended with a broken connection. */
  broken: number;
  /** Broken streams that were read on to their end after the restart. */
  resumed: number;
  /** Acknowledgements of something that had been acknowledged before. */
  replayed: number;
  /** Attempts that were answered with an error that a blow explains. */
  refused: number;
  /** Milliseconds that an attempt took at most from its sending, or from the last blow in it. */
  longest: number;
}

/** @param name tells the keys and texts of this ledger from those of others */
export function createLedger(name: string): Ledger {
  const sessions = new Map<string, ToldMessage[]>();
  const creations: ToldCreation[] = [];
  const surprises: string[] = [];
  const counts: Counts = { attempts: 0, broken: 0, resumed: 0, replayed: 0, refused: 0, longest: 0 };
  let time = 0;
  return {
    sessions,
    creations,
    surprises,
    counts,
    tick,
    newMessage,
    newCreation,
    addSession: (sessionId) => void sessions.set(sessionId, []),
    surprise: (what) => void surprises.push(what),
  };

  function tick(): number {
    time += 1;
    return time;
  }

  function newMessage(sessionId: string): ToldMessage {
    const messages = sessions.get(sessionId);
    if (messages === undefined) throw new Error(`session ${sessionId} is not in the ledger`);
    const sentAt = tick();
    const text = `message ${sentAt} of ${name}`;
    const message = { text, key: `${name}-${sentAt}`, sentAt, attempts: 0, acknowledgements: [], broken: [] };
    messages.push(message);
    return message;
  }

  function newCreation(): ToldCreation {
    const creation = { key: `${name}-session-${tick()}`, ids: [] };
    creations.push(creation);
    return creation;
  }
}
