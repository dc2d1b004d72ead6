/** A turn as the response object that clients of OpenAI's read, with every field that the strict ones want. */

import type { Turn } from '../../conversation/turn.ts';
import type { Usage } from '../../conversation/usage.ts';
import { type ErrorCode, errorCatalogue } from '../../errors.ts';
import { turnIdOf } from './ids.ts';
import { itemView } from './item-view.ts';

/** What a response shows of a turn, whatever has become of it so far. */
export interface ResponseView {
  id: string;
  object: 'response';
  created_at: number;
  status: ResponseStatus;
  model: string;
  output: Record<string, unknown>[];
  [field: string]: unknown;
}

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

/** The turn as it is. */
export function responseView(turn: Turn): ResponseView {
  const status = statusOf(turn);
  return {
    ...begunView(turn, status),
    model: turn.model ?? modelOf(turn),
    completed_at: status === 'completed' && turn.completedAt !== null ? seconds(turn.completedAt) : null,
    error: errorOf(turn),
    incomplete_details: status === 'incomplete' ? { reason: reasonOf(turn) } : null,
    output: turn.output.map(itemView),
    usage: turn.usage === null ? null : usageView(turn.usage),
  };
}

/**
 * The turn as it was when it had only begun: what is known of it then is the same at all times, so that a stream that is
 * made again begins as it did.
 */
export function begunView(turn: Turn, status: ResponseStatus): ResponseView {
  const { asked = {} } = turn;
  const shown = (name: string, usual: unknown): unknown => asked[name] ?? usual;
  const conversation = asked['conversation'];
  return {
    id: turnIdOf('resp', { sessionId: turn.sessionId, turnId: turn.id }),
    object: 'response',
    created_at: seconds(turn.createdAt),
    completed_at: null,
    status,
    background: shown('background', false),
    conversation: typeof conversation === 'string' ? { id: conversation } : null,
    error: null,
    incomplete_details: null,
    instructions: shown('instructions', null),
    max_output_tokens: shown('max_output_tokens', null),
    max_tool_calls: null,
    model: modelOf(turn),
    output: [],
    parallel_tool_calls: shown('parallel_tool_calls', true),
    presence_penalty: shown('presence_penalty', 0),
    frequency_penalty: shown('frequency_penalty', 0),
    previous_response_id: shown('previous_response_id', turn.asked === undefined ? parentOf(turn) : null),
    prompt_cache_key: shown('prompt_cache_key', null),
    reasoning: shown('reasoning', { effort: null, summary: null }),
    safety_identifier: shown('safety_identifier', null),
    service_tier: shown('service_tier', 'default'),
    store: shown('store', true),
    temperature: shown('temperature', 1),
    text: shown('text', { format: { type: 'text' } }),
    tool_choice: shown('tool_choice', 'auto'),
    tools: shown('tools', []),
    top_logprobs: 0,
    top_p: shown('top_p', 1),
    truncation: shown('truncation', 'auto'),
    usage: null,
    user: shown('user', null),
    metadata: shown('metadata', {}),
  };
}

/** The one that was asked for, if that is known. */
function modelOf({ asked }: Turn): string {
  const model = asked?.['model'];
  return typeof model === 'string' ? model : '';
}

/** Of a turn that came in by another door. */
function parentOf({ sessionId, parentId }: Turn): string | null {
  return parentId === null ? null : turnIdOf('resp', { sessionId, turnId: parentId });
}

function statusOf({ status, error, finishReason }: Turn): ResponseStatus {
  // What was cancelled, and has lost its text since, says so by its error alone.
  if (error?.code === 'turn_cancelled') return 'cancelled';
  // A turn that waits for an approval is over for whoever asks for it here: the request for it is its output.
  const isCut = finishReason === 'length' || finishReason === 'content_filter';
  return status === 'incomplete' && !isCut ? 'completed' : status;
}

function reasonOf({ finishReason }: Turn): 'content_filter' | 'max_output_tokens' {
  return finishReason === 'content_filter' ? 'content_filter' : 'max_output_tokens';
}

function errorOf({ error }: Turn): { code: string; message: string } | null {
  if (error === null || error.code === 'turn_cancelled') return null;
  return { code: errorCode(error.code), message: error.message };
}

/** In OpenAI's words where there is one that says as much. */
function errorCode(code: ErrorCode): string {
  if (code === 'provider_rate_limited' || code === 'rate_limited') return 'rate_limit_exceeded';
  if (code === 'provider_rejected_request' || code === 'content_filtered') return 'invalid_prompt';
  return errorCatalogue[code].status >= 500 ? 'server_error' : code;
}

/** Usage in full shape, and no more. */
export function usageView(usage: Usage): object {
  return {
    input_tokens: usage.input_tokens,
    input_tokens_details: { cached_tokens: usage.input_tokens_details.cached_tokens },
    output_tokens: usage.output_tokens,
    output_tokens_details: { reasoning_tokens: usage.output_tokens_details.reasoning_tokens },
    total_tokens: usage.total_tokens,
  };
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
