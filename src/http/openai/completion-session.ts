/**
 * A chat completion that is stored (`store: true`) is a turn that has a session of its own. The session's metadata are those
 * of the completion, and say what it was made for.
 */

import type { Session, SessionSettings } from '../../conversation/session.ts';
import type { Turn } from '../../conversation/turn.ts';
import { metadataOf } from './common-fields.ts';
import { type Fields, wrong } from './input-items.ts';

type Metadata = Record<string, string>;

/** By which the sessions of completions are told from others, and found. */
export const COMPLETION_MARK = { parley_object: 'chat.completion' } as const;

/** The metadata that a body gives a completion. Throws `invalid_request`. */
export function givenMetadata(body: Fields): Metadata {
  const metadata = metadataOf(body) ?? {};
  if ('parley_object' in metadata) throw wrong('metadata.parley_object', 'is set by the server');
  return metadata;
}

/** The session that is made for it: like a completion in none, it has no tools but the caller's. */
export function sessionForCompletion(metadata: Metadata): Partial<SessionSettings> {
  return { tools: 'none', ...withMetadata(metadata) };
}

/** The same with other metadata. */
export function withMetadata(metadata: Metadata): Pick<SessionSettings, 'metadata'> {
  return { metadata: { ...metadata, ...COMPLETION_MARK } };
}

/** The completion's metadata. */
export function completionMetadata({ metadata }: Session): Metadata {
  const { parley_object: _mark, ...own } = metadata;
  return own;
}

/** What is remembered with the turn that the session is made for. */
export const ASKED_COMPLETION = { object: COMPLETION_MARK.parley_object } as const;

/** Whether the session was made for this turn; others may have followed it. */
export function isCompletion({ asked }: Turn): boolean {
  return asked?.['object'] === ASKED_COMPLETION.object;
}
