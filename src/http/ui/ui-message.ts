/**
 * A conversation as the AI SDK's `UIMessage`s. What a turn adds to an answer that waited, results of the client's tools
 * and approvals, belongs to the same message as the turns before: it is named after the first of them.
 */

import type { SeenTurn } from '../../conversation/event.ts';
import type {
  ApprovalRequestItem,
  ApprovalResponseItem,
  FunctionCallItem,
  Item,
  McpCallItem,
  MessageItem,
} from '../../conversation/item.ts';
import { BROKEN_INPUT, inputOf, isWholeCall } from './ui-chunk.ts';

export interface UiMessage {
  id: string;
  role: 'system' | 'user' | 'assistant';
  metadata: { turn_id: string; created_at: string };
  parts: UiPart[];
}

export type UiPart = UiTextPart | UiReasoningPart | UiFilePart | UiToolPart | { type: 'step-start' };

interface UiTextPart {
  type: 'text';
  text: string;
  state?: 'done';
}

interface UiReasoningPart {
  type: 'reasoning';
  id: string;
  text: string;
  state: 'done';
}

interface UiFilePart {
  type: 'file';
  mediaType: string;
  url: string;
  filename?: string;
}

export interface UiToolPart {
  /** `tool-<name>` for a tool of the client's. */
  type: 'dynamic-tool' | `tool-${string}`;
  toolName?: string;
  /** The item's id: those of providers are not always unique. */
  toolCallId: string;
  state:
    | 'input-available'
    | 'output-available'
    | 'output-error'
    | 'output-denied'
    | 'approval-requested'
    | 'approval-responded';
  input: unknown;
  output?: unknown;
  errorText?: string;
  providerExecuted?: true;
  toolMetadata?: { server: string };
  approval?: { id: string; approved?: boolean; reason?: string };
}

/** What is read of a turn. */
export type ShownTurn = Pick<SeenTurn, 'id' | 'input' | 'output' | 'createdAt'>;

/** The name of a user's own note on a message, in which the client's id of it is kept. */
export const MESSAGE_ID_NOTE = 'ui_message_id';

/** The id under which clients know a message of the input. */
export function shownIdOf({ id, metadata }: MessageItem): string {
  return metadata?.[MESSAGE_ID_NOTE] ?? id;
}

/** Whether the input only gives what an answer has waited for, so that the turn goes on with it. */
export function continuesAnswer(input: readonly Item[]): boolean {
  return input.every(({ type }) => type === 'function_call_output' || type === 'mcp_approval_response');
}

/** The messages of turns that follow each other, oldest first. */
export function uiMessagesOf(turns: readonly ShownTurn[]): UiMessage[] {
  const messages: UiMessage[] = [];
  /** Calls that are shown: by the item's id, and by the id that joins it with what comes of it. */
  const calls = new Map<string, UiToolPart>();
  /** The model's step, as the stream has it: where none is open, or the server has called something, another begins. */
  const step = { isOpen: false, hasCalled: false };
  for (const turn of turns) addTurn(turn);
  return messages;

  function addTurn({ id, input, output, createdAt }: ShownTurn): void {
    const metadata = { turn_id: id, created_at: new Date(createdAt).toISOString() };
    step.isOpen = false;
    for (const item of input) {
      if (item.type === 'message' && item.role !== 'assistant') {
        const role = item.role === 'user' ? 'user' : 'system';
        messages.push({ id: shownIdOf(item), role, metadata, parts: partsOfMessage(item) });
        step.isOpen = false;
      } else if (!addResult(item)) addMade(item, lastAnswer() ?? newAnswer(item.id, metadata));
    }
    if (output.length === 0) return;
    const waiting = input.length > 0 && continuesAnswer(input) ? lastAnswer() : null;
    const answer = waiting ?? newAnswer(id, metadata);
    answer.metadata = { ...answer.metadata, turn_id: id };
    for (const item of output) if (!addResult(item)) addMade(item, answer);
  }

  function lastAnswer(): UiMessage | null {
    const last = messages.at(-1);
    return last?.role === 'assistant' ? last : null;
  }

  function newAnswer(id: string, metadata: UiMessage['metadata']): UiMessage {
    const answer: UiMessage = { id, role: 'assistant', metadata, parts: [] };
    messages.push(answer);
    step.isOpen = false;
    return answer;
  }

  /** What comes of a call is shown with the call; false for an item that is shown by itself. */
  function addResult(item: Item): boolean {
    if (item.type === 'function_call_output') {
      const part = calls.get(item.call_id);
      if (part !== undefined) endCall(part, inputOf(item.output), null);
      return true;
    }
    if (item.type === 'mcp_approval_response') {
      const part = calls.get(item.approval_request_id);
      if (part !== undefined) decideCall(part, item);
      return true;
    }
    const part = item.type === 'mcp_call' ? calls.get(item.call_id) : undefined;
    if (item.type !== 'mcp_call' || part?.state !== 'approval-responded') return false;
    endCall(part, item.output, item.error);
    return true;
  }

  function addMade(item: Item, { parts }: UiMessage): void {
    const made = partsOf(item);
    if (made.length === 0) return;
    const isServerCall = item.type === 'mcp_call';
    if (!step.isOpen || (step.hasCalled && !isServerCall)) {
      parts.push({ type: 'step-start' });
      step.hasCalled = false;
    }
    step.isOpen = true;
    step.hasCalled ||= isServerCall;
    for (const part of made) {
      parts.push(part);
      if ('toolCallId' in part && 'call_id' in item) calls.set(item.call_id, part).set(item.id, part);
    }
  }
}

/** The parts of an item that is shown by itself; none where it says nothing. */
function partsOf(item: Item): UiPart[] {
  switch (item.type) {
    case 'message':
      return partsOfMessage(item).filter((part) => part.type !== 'text' || part.text !== '');
    case 'reasoning': {
      const text = item.content.map((part) => part.text).join('');
      return text === '' ? [] : [{ type: 'reasoning', id: item.id, text, state: 'done' }];
    }
    case 'function_call':
    case 'mcp_call':
    case 'mcp_approval_request':
      return [partOfCall(item)];
    case 'function_call_output':
    case 'mcp_approval_response':
      return [];
  }
}

function partOfCall(item: FunctionCallItem | McpCallItem | ApprovalRequestItem): UiToolPart {
  const call = { toolCallId: item.id, input: inputOf(item.arguments) };
  if (item.type === 'function_call') {
    const type = `tool-${item.name}` as const;
    if (isWholeCall(item)) return { type, ...call, state: 'input-available' };
    return { type, ...call, state: 'output-error', errorText: BROKEN_INPUT };
  }
  const part: UiToolPart = {
    type: 'dynamic-tool',
    toolName: item.name,
    ...call,
    state: 'input-available',
    providerExecuted: true,
    toolMetadata: { server: item.server_label },
  };
  if (item.type === 'mcp_call') endCall(part, item.output, item.error);
  else Object.assign(part, { state: 'approval-requested', approval: { id: item.id } });
  return part;
}

function decideCall(part: UiToolPart, { approve, reason }: ApprovalResponseItem): void {
  part.state = 'approval-responded';
  part.approval = { id: part.toolCallId, approved: approve, ...(reason === null ? {} : { reason }) };
}

function endCall(part: UiToolPart, output: unknown, error: string | null): void {
  if (part.approval?.approved === false) part.state = 'output-denied';
  else if (error === null) Object.assign(part, { state: 'output-available', output });
  else Object.assign(part, { state: 'output-error', errorText: error });
}

function partsOfMessage({ role, content }: MessageItem): UiPart[] {
  const done = role === 'assistant' ? { state: 'done' as const } : {};
  return content.map((part): UiPart => {
    switch (part.type) {
      case 'input_text':
      case 'output_text':
        return { type: 'text', text: part.text, ...done };
      case 'refusal':
        return { type: 'text', text: part.refusal, ...done };
      case 'input_image':
        return { type: 'file', mediaType: mediaTypeOf(part.image_url) ?? 'image/*', url: part.image_url };
      case 'input_file': {
        const url = part.file_data ?? part.file_url ?? '';
        const name = part.filename === undefined ? {} : { filename: part.filename };
        return { type: 'file', mediaType: mediaTypeOf(url) ?? 'application/octet-stream', url, ...name };
      }
    }
  });
}

/** Null for what is no data URL. */
function mediaTypeOf(url: string): string | null {
  return /^data:([^;,]+)/.exec(url)?.[1] ?? null;
}
