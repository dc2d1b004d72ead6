/** The pieces of the AI SDK's UI message stream, version 1, and what of them is made of calls. */

import type { StartedCall } from '../../conversation/event.ts';
import type { ApprovalRequestItem, FunctionCallItem, McpCallItem } from '../../conversation/item.ts';
import type { Turn } from '../../conversation/turn.ts';

/** One frame of the stream; `type` says what else is in it. */
export type UiChunk = { type: string } & Readonly<Record<string, unknown>>;

/** The header that tells a client which stream it reads. */
export const UI_STREAM_HEADER = ['x-vercel-ai-ui-message-stream', 'v1'] as const;

/** A call that clients show and never run: of a tool that they cannot know, at a server of the operator's. */
export function serverCallChunk(call: StartedCall | ApprovalRequestItem): UiChunk {
  return {
    type: 'tool-input-available',
    toolCallId: call.id,
    toolName: call.name,
    input: inputOf(call.arguments),
    ...SERVER_CALL,
    toolMetadata: { server: call.server_label },
  };
}

/** @param toolCallId under which the client knows the call */
export function serverResultChunk({ output, error }: McpCallItem, toolCallId: string): UiChunk {
  return error === null
    ? { type: 'tool-output-available', toolCallId, output, ...SERVER_CALL }
    : { type: 'tool-output-error', toolCallId, errorText: error, ...SERVER_CALL };
}

const SERVER_CALL = { providerExecuted: true, dynamic: true };

/** The arguments as data; text that is no JSON stays text. A model that has no arguments to give may give nothing. */
export function inputOf(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

/** Whether the model wrote the call to its end, with arguments that are JSON. */
export function isWholeCall({ status, arguments: text }: FunctionCallItem): boolean {
  if (status !== 'completed') return false;
  return typeof inputOf(text) !== 'string' || text.trimStart().startsWith('"');
}

/** What clients read of a call of theirs whose arguments are no use. */
export const BROKEN_INPUT = 'The arguments are not whole, or no JSON.';

const REASONS: Readonly<Record<string, string>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  content_filter: 'content-filter',
};

/** Why the answer ends there, in the protocol's words. */
export function finishReasonOf({ finishReason }: Turn): string {
  return REASONS[finishReason ?? ''] ?? 'other';
}
