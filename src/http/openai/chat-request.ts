/** The body of a chat completion, read: what is Parley's own, and what is the provider's. */

import type { Item } from '../../conversation/item.ts';
import { bodyFields } from './body-fields.ts';
import { chatItems, newMessages, splitInstructions } from './chat-items.ts';
import { modelOf } from './common-fields.ts';
import { givenMetadata } from './completion-session.ts';
import { sessionOfId } from './ids.ts';
import { type Fields, unsupported, wrong } from './input-items.ts';

export interface ChatRequest {
  model: string | null;
  stream: boolean;
  includesUsage: boolean;
  place: CompletionPlace;
  /** Left out, the session's. */
  instructions: string | undefined;
  input: readonly Item[];
  /** The messages as they came, for a completion in no session. */
  messages: readonly unknown[] | null;
  /** Everything that is the provider's, as it came. */
  options: Fields;
}

/** Where a completion is made: nowhere, if it is not stored; in a session of its own; or in the one that is named. */
export type CompletionPlace =
  | { kind: 'nowhere' }
  | { kind: 'own'; metadata: Record<string, string> }
  | { kind: 'session'; id: string };

/** What is read here and is no matter of the provider's. */
export const CHAT_FIELDS = ['model', 'messages', 'stream', 'session_id', 'store'] as const;

const OWN: ReadonlySet<string> = new Set(CHAT_FIELDS);

/** @param sessionHeader `X-Session-ID`, which comes before the body's `session_id` */
export function chatRequest(body: Fields, sessionHeader: string | undefined): ChatRequest {
  const fields = bodyFields(body);
  const messages = fields.list('messages');
  if (messages === undefined || messages.length === 0) throw wrong('messages', 'must have a message in it');
  const store = fields.flag('store') ?? false;
  const named = sessionHeader ?? fields.text('session_id');
  const n = fields.integer('n', { min: 1, max: 128 }) ?? 1;
  if (n !== 1 && (store || named !== undefined))
    throw unsupported('n', 'a turn that is stored has one answer');
  const options = Object.fromEntries(Object.entries(body).filter(([name]) => !OWN.has(name)));
  const common = {
    model: modelOf(body),
    stream: fields.flag('stream') ?? false,
    includesUsage:
      bodyFields(fields.object('stream_options') ?? {}, 'stream_options').flag('include_usage') ?? false,
    options,
  };
  if (named === undefined) {
    const place: CompletionPlace = store
      ? { kind: 'own', metadata: givenMetadata(body) }
      : { kind: 'nowhere' };
    // What is stored is to be found again, and what is not reaches the provider all the same.
    const input = chatItems(messages, store);
    // Where a completion is stored here, its provider has nothing to store.
    if (store) delete options['metadata'];
    return { ...common, place, instructions: undefined, input, messages };
  }
  const { instructions, rest } = splitInstructions(messages);
  const fresh = newMessages(rest);
  const input = chatItems(fresh, true, messages.length - fresh.length);
  if (input.length === 0) throw wrong('messages', 'must have a message after the last one of the assistant');
  const place: CompletionPlace = { kind: 'session', id: sessionOfId(named) ?? named };
  return { ...common, place, instructions, input, messages: null };
}
