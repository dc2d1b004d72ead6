/**
 * Where a response lives. What names a conversation is the next turn of it; what follows a response is a turn after that
 * one, in its session or, while that is busy, in a copy of the conversation up to there; anything else begins a session.
 */

import type { Item } from '../../conversation/item.ts';
import type { RequestKey } from '../../conversation/request-key.ts';
import type { Session } from '../../conversation/session.ts';
import { joinsConversation, type Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { isDeleted } from './deleted-turn.ts';
import type { TurnPlace } from './ids.ts';
import { noConversation, noPrevious, type ResponseRequest } from './response-request.ts';

/** What a response goes on from. */
export interface Before {
  session: Session;
  /** The turn that it follows; null for the head of a conversation. */
  turn: Turn | null;
}

/**
 * What is before the response; null for one that begins a session. Throws `session_not_found`,
 * `previous_response_not_found` and `parent_not_usable`, each with the field.
 */
export async function beforeResponse(
  sessions: Sessions,
  owner: string,
  { conversation, previous }: Pick<ResponseRequest, 'conversation' | 'previous'>,
): Promise<Before | null> {
  if (conversation !== null) {
    return {
      session: await sessions.get(owner, conversation).catch(unless('session_not_found', noConversation)),
      turn: null,
    };
  }
  return previous === null ? null : beforeTurn(sessions, owner, previous);
}

async function beforeTurn(sessions: Sessions, owner: string, previous: TurnPlace): Promise<Before> {
  const { sessionId, turnId } = previous;
  const session = await sessions.get(owner, sessionId).catch(unless('session_not_found', noPrevious));
  const turn = await sessions.turn(owner, sessionId, turnId).catch(unless('turn_not_found', noPrevious));
  if (isDeleted(turn)) noPrevious();
  if (!joinsConversation(turn)) {
    throw new AppError('parent_not_usable', {
      param: 'previous_response_id',
      reason: `A response that is ${turn.status} cannot be followed.`,
    });
  }
  return { session, turn };
}

/**
 * Whether the model sees of the past what the session's memory holds, and not all of it. As at OpenAI it sees all unless
 * the request says otherwise; but a session that has a limit of its own wants it kept.
 */
export function isCut(truncation: ResponseRequest['truncation'], before: Before | null): boolean {
  return truncation === undefined ? (before?.session.memoryLimit ?? null) !== null : truncation === 'auto';
}

/** What is before a response, as far as its model is to see it. */
export async function historyOf(
  sessions: Sessions,
  owner: string,
  before: Before | null,
  truncation: ResponseRequest['truncation'],
): Promise<Item[]> {
  if (before === null) return [];
  const places = isCut(truncation, before) ? null : sessions.maxPlaces;
  return sessions.history(owner, before.session.id, before.turn?.id, places);
}

/**
 * The copy of a conversation that an earlier try of the same request was made in, as its session was busy then; null if there
 * is none.
 */
export async function copyMadeFor(
  sessions: Sessions,
  owner: string,
  before: Before | null,
  key: RequestKey,
): Promise<Session | null> {
  if (before === null || before.turn === null) return null;
  const { takesOver = false, ...known } = key;
  const copy = await sessions.madeUnder(owner, known);
  if (copy === null || !takesOver) return copy;
  // A request of its own, which may find its session free: what is sent again after it is not to find the older copy. A
  // key is forgotten with the session that has taken it over.
  const { session } = await sessions.create(owner, {}, key);
  await sessions.delete(owner, session.id);
  return null;
}

/** The session that the response is made in. @param key the same session again for the same request */
export async function placeFor(
  sessions: Sessions,
  owner: string,
  before: Before | null,
  key: RequestKey | null,
): Promise<{ sessionId: string; isNew: boolean }> {
  if (before !== null) return { sessionId: before.session.id, isNew: false };
  const { session, replayed } = await sessions.create(owner, {}, key);
  return { sessionId: session.id, isNew: !replayed };
}

function unless(code: AppError['code'], otherwise: () => never) {
  return (error: unknown): never => {
    if (error instanceof AppError && error.code === code) otherwise();
    throw error;
  };
}
