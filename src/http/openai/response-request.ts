/** The body of a request for a response: where it belongs, what goes in, and how the answer is to be made. */

import type { Item } from '../../conversation/item.ts';
import { AppError } from '../../errors.ts';
import { bodyFields, present } from './body-fields.ts';
import { metadataOf, modelOf } from './common-fields.ts';
import { sessionOfId, type TurnPlace, turnOfId } from './ids.ts';
import { type Fields, type ItemReference, inputItems, isObject, unsupported, wrong } from './input-items.ts';
import { responseOptions } from './response-options.ts';
import { type McpTool, responseTools } from './response-tools.ts';

export interface ResponseRequest {
  /** The session of the conversation that it is to be part of. */
  conversation: string | null;
  /** The response that it is to follow. */
  previous: TurnPlace | null;
  input: (Item | ItemReference)[];
  /** Undefined leaves it to the session. */
  instructions: string | undefined;
  /** Null leaves it to the session, and to the server. */
  model: string | null;
  /** In the words of Chat Completions. */
  options: Record<string, unknown>;
  /** What it asks of servers of tools; null where it says nothing of tools. */
  mcp: readonly McpTool[] | null;
  /** Undefined leaves it to the session. */
  truncation: 'auto' | 'disabled' | undefined;
  /** Whether it can be found again. */
  store: boolean;
  stream: boolean;
  background: boolean;
  /** What of the request its response shows again. */
  shown: Record<string, unknown>;
}

/** What a request for a response may have; other fields are refused. */
export const RESPONSE_FIELDS = [
  'background',
  'conversation',
  'frequency_penalty',
  'include',
  'input',
  'instructions',
  'max_output_tokens',
  'metadata',
  'model',
  'parallel_tool_calls',
  'presence_penalty',
  'previous_response_id',
  'prompt_cache_key',
  'prompt_cache_retention',
  'reasoning',
  'safety_identifier',
  'service_tier',
  'store',
  'stream',
  'stream_options',
  'temperature',
  'text',
  'tool_choice',
  'tools',
  'top_logprobs',
  'top_p',
  'truncation',
  'user',
] as const;

/** What a request to count tokens may have. */
export const INPUT_TOKENS_FIELDS = [
  'conversation',
  'input',
  'instructions',
  'model',
  'parallel_tool_calls',
  'previous_response_id',
  'reasoning',
  'text',
  'tool_choice',
  'tools',
  'truncation',
] as const;

/** What a request to sum up a conversation may have. */
export const COMPACT_FIELDS = ['input', 'instructions', 'model', 'previous_response_id'] as const;

/** Throws `invalid_request`, `unsupported_parameter` and `previous_response_not_found`, each with the field. */
export function responseRequest(body: Fields): ResponseRequest {
  const fields = bodyFields(body);
  fields.only(RESPONSE_FIELDS);
  const place = responsePlace(body);
  const input = inputItems(body['input'] ?? []);
  if (input.length === 0) throw wrong('input', 'must have something in it');
  const { tools, stream, model } = {
    tools: responseTools(body),
    stream: fields.flag('stream') ?? false,
    model: modelOf(body),
  };
  const { options, shown } = responseOptions(body);
  const [store, background] = [fields.flag('store') ?? true, fields.flag('background') ?? false];
  if (!store && background) throw unsupported('background', 'needs store: nobody could find the response');
  if (!store && place.conversation !== null) {
    throw unsupported('store', 'what is part of a conversation is stored with it');
  }
  const instructions = fields.text('instructions', 1_000_000);
  const truncation = fields.oneOf('truncation', ['auto', 'disabled']);
  const metadata = metadataOf(body);
  return {
    ...place,
    input,
    instructions,
    model,
    options: { ...options, ...tools.options },
    mcp: tools.mcp,
    truncation,
    store,
    stream,
    background,
    shown: {
      ...shown,
      ...tools.shown,
      ...present({ instructions, metadata, model: model ?? undefined, truncation }),
      ...present({ conversation: conversationOf(body), previous_response_id: body['previous_response_id'] }),
      ...(background ? { background } : {}),
      ...(store ? {} : { store }),
    },
  };
}

/** The conversation, or the response before it, that a request names; not both. */
export function responsePlace(body: Fields): Pick<ResponseRequest, 'conversation' | 'previous'> {
  const previous = bodyFields(body).text('previous_response_id');
  const conversation = conversationOf(body);
  if (previous !== undefined && conversation !== undefined) {
    throw wrong('previous_response_id', 'cannot be given together with conversation');
  }
  return {
    previous: previous === undefined ? null : (turnOfId('resp', previous) ?? noPrevious()),
    conversation: conversation === undefined ? null : (sessionOfId(conversation) ?? noConversation()),
  };
}

/** Throws that there is no response to be followed. */
export function noPrevious(): never {
  throw new AppError('previous_response_not_found', { param: 'previous_response_id' });
}

/** Throws that there is no such conversation. */
export function noConversation(): never {
  throw new AppError('session_not_found', {
    param: 'conversation',
    reason: 'There is no such conversation.',
  });
}

function conversationOf(body: Fields): string | undefined {
  const given = body['conversation'] ?? undefined;
  if (given === undefined || typeof given === 'string') return given;
  const id = isObject(given) ? given['id'] : undefined;
  if (typeof id !== 'string') throw wrong('conversation', 'must be an id, or an object with one');
  return id;
}
