/**
 * A turn's events as the AI SDK's UI message stream. Calls of the client's own tools are shown as they come, and handed
 * over when the turn is over: until then a rescue may still take them back, and clients run them at once.
 */

import type { EndedTurn, TurnEvent } from '../../conversation/event.ts';
import { outputItemId } from '../../conversation/id.ts';
import type { ApprovalRequestItem, McpCallItem } from '../../conversation/item.ts';
import type { Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { StreamWire } from '../stream-wire.ts';
import {
  BROKEN_INPUT,
  finishReasonOf,
  inputOf,
  isWholeCall,
  serverCallChunk,
  serverResultChunk,
  type UiChunk,
} from './ui-chunk.ts';

export interface UiWireOptions {
  /** The message that the turn goes on with; null for one of its own, which is named after it. */
  messageId: string | null;
  /** The calls of the turn before that the turn's input decides about. */
  decided: readonly ApprovalRequestItem[];
  /** What the message has from the turns before, for a client that does not have it. */
  before: readonly UiChunk[];
}

type TextPart = 'text' | 'reasoning';

export function uiWire({ messageId, decided, before }: UiWireOptions): StreamWire {
  /** Calls that the client knows as requests for an approval, by the id that joins them with the call. */
  const waiting = new Map(decided.map((request) => [request.call_id, request.id]));
  let denied: ReadonlySet<string> = new Set();
  let turnId = '';
  /** Items that the model has begun, as they are counted in the ids of its output. */
  let begun = 0;
  let text: { part: TextPart; isRefusal: boolean; id: string } | null = null;
  let step: { hasSaid: boolean; hasCalled: boolean } | null = null;
  let isOver = false;
  return {
    frame: ({ event }) => (isOver ? '' : chunksOf(event).map(frameOf).join('')),
    expired: () => (isOver ? '' : fail('events_expired')),
    // Whoever reads of no end took what there is for the whole.
    end: () => `${isOver ? '' : fail('server_shutting_down')}data: [DONE]\n\n`,
  };

  function chunksOf(event: TurnEvent): UiChunk[] {
    switch (event.type) {
      case 'turn.started':
        return begin(event.turn);
      case 'message.delta':
        return say('text', event.text, event.isRefusal === true);
      case 'reasoning.delta':
        return say('reasoning', event.text, false);
      case 'tool.requested': {
        begun += 1;
        const { id: toolCallId, name: toolName, arguments: inputTextDelta } = event.call;
        const start = { type: 'tool-input-start', toolCallId, toolName };
        return [...model(), start, { type: 'tool-input-delta', toolCallId, inputTextDelta }];
      }
      case 'tool.approval_requested': {
        const { id } = event.request;
        const request = { type: 'tool-approval-request', approvalId: id, toolCallId: id };
        return [...model(), serverCallChunk(event.request), request];
      }
      case 'tool.started': {
        if (waiting.has(event.call.call_id)) return [];
        const chunks = [...endText(), ...inStep(), serverCallChunk(event.call)];
        if (step !== null) step.hasCalled = true;
        return chunks;
      }
      // Answers in the words of another API are no matter of this one's.
      case 'frame':
        return [];
      // Tools of a chat are not told that somebody could answer them.
      case 'tool.input_requested':
      case 'tool.input_answered':
      case 'tool.progress':
        return [];
      case 'tool.completed':
        return [result(event.call)];
      case 'message.restart':
        return restart();
      case 'turn.completed':
        return finish(event.ended);
      case 'turn.failed':
        return stop(event.ended.turn);
    }
  }

  function begin({ id, createdAt, input }: Turn): UiChunk[] {
    turnId = id;
    denied = new Set(
      input.flatMap((item) =>
        item.type === 'mcp_approval_response' && !item.approve ? [item.approval_request_id] : [],
      ),
    );
    // A message that goes on is as old as it was.
    const made = messageId === null ? { created_at: new Date(createdAt).toISOString() } : {};
    const messageMetadata = { turn_id: id, ...made };
    return [{ type: 'start', messageId: messageId ?? id, messageMetadata }, ...before];
  }

  function say(part: TextPart, delta: string, isRefusal: boolean): UiChunk[] {
    const isSame = text?.part === part && text.isRefusal === isRefusal;
    const chunks = isSame ? [] : beginText(part, isRefusal);
    return [...chunks, { type: `${part}-delta`, id: text?.id, delta }];
  }

  function beginText(part: TextPart, isRefusal: boolean): UiChunk[] {
    const chunks = model();
    begun += 1;
    const id = outputItemId(part === 'text' ? 'msg' : 'rs', turnId, begun);
    text = { part, isRefusal, id };
    return [...chunks, { type: `${part}-start`, id }];
  }

  /** Before anything else that the model makes: after calls of the server's it is another step in which it does. */
  function model(): UiChunk[] {
    const chunks = endText();
    if (step?.hasCalled === true) chunks.push(...endStep());
    chunks.push(...inStep());
    if (step !== null) step.hasSaid = true;
    return chunks;
  }

  function endText(): UiChunk[] {
    if (text === null) return [];
    const { part, id } = text;
    text = null;
    return [{ type: `${part}-end`, id }];
  }

  function inStep(): UiChunk[] {
    if (step !== null) return [];
    step = { hasSaid: false, hasCalled: false };
    return [{ type: 'start-step' }];
  }

  function endStep(): UiChunk[] {
    if (step === null) return [];
    step = null;
    return [{ type: 'finish-step' }];
  }

  function result(call: McpCallItem): UiChunk {
    const request = waiting.get(call.call_id);
    // A model may give a later call the same id.
    waiting.delete(call.call_id);
    if (request !== undefined && denied.has(request)) {
      return { type: 'tool-output-denied', toolCallId: request };
    }
    return serverResultChunk(call, request ?? call.id);
  }

  /** What was said since the last call does not count; where nothing was, the step is one that stays. */
  function restart(): UiChunk[] {
    text = null;
    if (step === null || step.hasCalled || !step.hasSaid) return [];
    step.hasSaid = false;
    return [{ type: 'reset-step' }];
  }

  function finish({ turn }: EndedTurn): UiChunk[] {
    isOver = true;
    const calls = turn.output.flatMap((item): UiChunk[] => {
      if (item.type !== 'function_call') return [];
      const call = { toolCallId: item.id, toolName: item.name, input: inputOf(item.arguments) };
      if (isWholeCall(item)) return [{ type: 'tool-input-available', ...call }];
      return [{ type: 'tool-input-error', ...call, errorText: BROKEN_INPUT }];
    });
    const { id: turn_id, status, provider, model: answeredBy, usage } = turn;
    const messageMetadata = { turn_id, status, provider, model: answeredBy, usage };
    const end = { type: 'finish', finishReason: finishReasonOf(turn), messageMetadata };
    return [...endText(), ...calls, ...endStep(), end];
  }

  function stop({ status, error }: Turn): UiChunk[] {
    isOver = true;
    const reason = error?.message ?? new AppError('internal_error').message;
    const end = status === 'cancelled' ? { type: 'abort', reason } : { type: 'error', errorText: reason };
    return [...endText(), ...endStep(), end];
  }

  function fail(code: 'events_expired' | 'server_shutting_down'): string {
    isOver = true;
    return frameOf({ type: 'error', errorText: new AppError(code).message });
  }
}

function frameOf(chunk: UiChunk): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
