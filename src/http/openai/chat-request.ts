/** The body of a chat completion, read: what is Parley's own, and what is the provider's. */

import type { Item } from '../../conversation/item.ts';
import { bodyFields } from './body-fields.ts';
import { chatItems, newMessages, splitInstructions } from './chat-items.ts';
import { sessionOfId } from './ids.ts';
import { type Fields, unsupported, wrong } from './input-items.ts';
import { modelOf } from './response-request.ts';

export interface ChatRequest {
  model: string | null;
  stream: boolean;
  includesUsage: boolean;
  /** The session that it is a turn of; null for a completion that brings its conversation along. */
  sessionId: string | null;
  /** Left out, the session's. */
  instructions: string | undefined;
  input: readonly Item[];
  /** The messages as they came, for a completion in no session. */
  messages: readonly unknown[] | null;
  /** Everything that is the provider's, as it came. */
  options: Fields;
}

/** What is read here and is no matter of the provider's. */
export const CHAT_FIELDS = ['model', 'messages', 'stream', 'session_id', 'store'] as const;

const OWN: ReadonlySet<string> = new Set(CHAT_FIELDS);

/** @param sessionHeader `X-Session-ID`, which comes before the body's `session_id` */
export function chatRequest(body: Fields, sessionHeader: string | undefined): ChatRequest {
  const fields = bodyFields(body);
  const messages = fields.list('messages');
  if (messages === undefined || messages.length === 0) throw wrong('messages', 'must have a message in it');
  if (fields.flag('store') === true) {
    throw unsupported('store', 'stored completions are not supported: name a session, or make a response');
  }
  const n = fields.integer('n', { min: 1, max: 128 }) ?? 1;
  if (n !== 1) throw unsupported('n', 'one answer is made at a time');
  const named = sessionHeader ?? fields.text('session_id');
  const options = Object.fromEntries(Object.entries(body).filter(([name]) => !OWN.has(name)));
  const common = {
    model: modelOf(body),
    stream: fields.flag('stream') ?? false,
    includesUsage:
      bodyFields(fields.object('stream_options') ?? {}, 'stream_options').flag('include_usage') ?? false,
    options,
  };
  if (named === undefined) {
    const input = chatItems(messages, false);
    return { ...common, sessionId: null, instructions: undefined, input, messages };
  }
  const { instructions, rest } = splitInstructions(messages);
  const fresh = newMessages(rest);
  const input = chatItems(fresh, true, messages.length - fresh.length);
  if (input.length === 0) throw wrong('messages', 'must have a message after the last one of the assistant');
  return { ...common, sessionId: sessionOfId(named) ?? named, instructions, input, messages: null };
}
