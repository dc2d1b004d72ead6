/**
 * A turn's events as the stream of a response. Every frame is made of the events alone, so that a stream that is made
 * again later has the same frames under the same numbers; whoever wants only those after a number is not shown the others.
 */

import { type RequestedCall, type StartedCall, type TurnEvent } from '../../conversation/event.ts';
import { outputItemId } from '../../conversation/id.ts';
import type { ApprovalRequestItem, Item, McpCallItem } from '../../conversation/item.ts';
import type { Turn } from '../../conversation/turn.ts';
import { AppError, type ErrorCode } from '../../errors.ts';
import type { StreamWire } from '../stream-wire.ts';
import { itemView } from './item-view.ts';
import { openAIErrorBody } from './openai-error.ts';
import { emptyItem, type PartFields, type TextKind, textFields } from './response-text.ts';
import { begunView, responseView } from './response-view.ts';

type View = Record<string, unknown>;

/** An item that the model is still at. */
interface OpenItem {
  id: string;
  kind: TextKind | 'call';
  index: number;
  /** What there is of its text. */
  text: string;
  /** As it is when it is over. */
  view(text: string, status: string): View;
}

/** @param after the number of the last frame that the reader has; -1 for none */
export function responseWire(after = -1): StreamWire {
  let sequence = 0;
  let turn: Turn | null = null;
  /** Items that the model has begun itself, which their ids are counted by. */
  let begun = 0;
  /** The places of items in the output, by their ids. */
  const places = new Map<string, number>();
  let open: OpenItem | null = null;
  /** Whether nothing more can be told. */
  let isBroken = false;
  let frames = '';
  return { frame, expired, over: () => isBroken, end: () => 'data: [DONE]\n\n' };

  function frame({ event }: { event: TurnEvent }): string {
    frames = '';
    if (!isBroken) tell(event);
    return frames;
  }

  function expired(): string {
    frames = '';
    breakOff('events_expired');
    return frames;
  }

  function tell(event: TurnEvent): void {
    switch (event.type) {
      case 'turn.started':
        return start(event.turn);
      case 'message.delta':
        return addText(event.isRefusal === true ? 'refusal' : 'message', event.text);
      case 'reasoning.delta':
        return addText('reasoning', event.text);
      case 'tool.requested':
        return request(event.call);
      case 'tool.started':
        return startCall(event.call);
      // Answers in the words of another API are no matter of this one's.
      case 'frame':
      case 'tool.progress':
      case 'tool.input_requested':
      case 'tool.input_answered':
        return;
      case 'tool.completed':
        return endCall(event.call);
      case 'tool.approval_requested':
        return addWhole(event.request);
      case 'message.restart':
        breakOff('provider_error');
        if (turn !== null) {
          const error = { code: 'server_error', message: new AppError('provider_error').message };
          write('response.failed', { response: { ...begunView(turn, 'failed'), error } });
        }
        return;
      default:
        return finish(event.ended.turn);
    }
  }

  function start(started: Turn): void {
    turn = started;
    const isQueued = started.asked?.['background'] === true;
    write('response.created', { response: begunView(started, isQueued ? 'queued' : 'in_progress') });
    if (isQueued) write('response.queued', { response: begunView(started, 'queued') });
    write('response.in_progress', { response: begunView(started, 'in_progress') });
  }

  function addText(kind: TextKind, text: string): void {
    if (open?.kind !== kind) {
      begun += 1;
      openText(kind, outputItemId(kind === 'reasoning' ? 'rs' : 'msg', turn?.id ?? '', begun));
    }
    if (open === null || text === '') return;
    open.text += text;
    const { event, extra } = textFields[kind];
    write(`response.${event}.delta`, { ...placeOf(open), content_index: 0, delta: text, ...extra });
  }

  function openText(kind: TextKind, id: string): void {
    close('completed');
    const index = addPlace(id);
    const empty = emptyItem(kind, id);
    write('response.output_item.added', { output_index: index, item: empty });
    const { part } = textFields[kind];
    const view = (text: string, status: string) => filled(empty, part(text), status);
    open = { id, kind, index, text: '', view };
    write('response.content_part.added', { ...placeOf(open), content_index: 0, part: part('') });
  }

  function request({ id, call_id, name, arguments: args }: RequestedCall): void {
    begun += 1;
    close('completed');
    const index = addPlace(id);
    const call = { id, type: 'function_call', call_id, name };
    write('response.output_item.added', {
      output_index: index,
      item: { ...call, arguments: '', status: 'in_progress' },
    });
    open = {
      id,
      kind: 'call',
      index,
      text: args,
      view: (_, status) => ({ ...call, arguments: args, status }),
    };
    const place = placeOf(open);
    if (args !== '') write('response.function_call_arguments.delta', { ...place, delta: args });
    write('response.function_call_arguments.done', { ...place, name, arguments: args });
  }

  /** Ends the item that the model was at. */
  function close(status: string): void {
    if (open === null) return;
    const { kind, index, text, view } = open;
    if (kind !== 'call') {
      const place = { ...placeOf(open), content_index: 0 };
      const { event, part, done } = textFields[kind];
      write(`response.${event}.done`, { ...place, ...done(text) });
      write('response.content_part.done', { ...place, part: part(text) });
    }
    write('response.output_item.done', { output_index: index, item: view(text, status) });
    open = null;
  }

  function startCall({ id, server_label, name, arguments: args }: StartedCall): void {
    close('completed');
    const index = addPlace(id);
    const place = { output_index: index, item_id: id };
    const outcome = { output: null, error: null, status: 'in_progress', approval_request_id: null };
    write('response.output_item.added', {
      output_index: index,
      item: { id, type: 'mcp_call', server_label, name, arguments: '', ...outcome },
    });
    write('response.mcp_call.in_progress', place);
    if (args !== '') write('response.mcp_call_arguments.delta', { ...place, delta: args });
    write('response.mcp_call_arguments.done', { ...place, arguments: args });
  }

  function endCall(call: McpCallItem): void {
    const index = places.get(call.id);
    if (index === undefined) return;
    const outcome = call.status === 'completed' ? 'completed' : 'failed';
    write(`response.mcp_call.${outcome}`, { output_index: index, item_id: call.id });
    write('response.output_item.done', { output_index: index, item: itemView(call) });
  }

  function addWhole(item: ApprovalRequestItem): void {
    close('completed');
    const index = addPlace(item.id);
    for (const stage of ['added', 'done']) {
      write(`response.output_item.${stage}`, { output_index: index, item: itemView(item) });
    }
  }

  function finish(ended: Turn): void {
    if (turn === null) start(ended);
    const last = ended.output.at(-1);
    close(last !== undefined && 'status' in last ? last.status : 'completed');
    // What no event has told of: an answer that says nothing, and what is left of a turn whose server died.
    for (const item of ended.output) if (!places.has(item.id)) tellOf(item);
    const response = responseView(ended);
    write(`response.${response.status === 'cancelled' ? 'failed' : response.status}`, { response });
  }

  function tellOf(item: Item): void {
    if (item.type === 'mcp_call') {
      startCall(item);
      endCall(item);
    } else if (item.type === 'mcp_approval_request') addWhole(item);
    else if (item.type === 'function_call') {
      request(item);
      close(item.status);
    } else if (item.type === 'message' || item.type === 'reasoning') tellOfText(item);
  }

  function tellOfText(item: Extract<Item, { type: 'message' | 'reasoning' }>): void {
    const [part] = item.content;
    const kind = part?.type === 'refusal' ? 'refusal' : item.type;
    openText(kind, item.id);
    if (part?.type === 'refusal') addText(kind, part.refusal);
    else if (part !== undefined && 'text' in part) addText(kind, part.text);
    close(item.type === 'message' ? item.status : 'completed');
  }

  function addPlace(id: string): number {
    const index = places.size;
    places.set(id, index);
    return index;
  }

  function breakOff(code: ErrorCode): void {
    isBroken = true;
    const { error } = openAIErrorBody(new AppError(code));
    write('error', { code: error.code, message: error.message, param: null });
  }

  function write(type: string, fields: object): void {
    const number = sequence;
    sequence += 1;
    if (number <= after) return;
    const data = JSON.stringify({ type, sequence_number: number, ...fields });
    frames += `event: ${type}\ndata: ${data}\n\n`;
  }
}

function placeOf({ id, index }: OpenItem): { item_id: string; output_index: number } {
  return { item_id: id, output_index: index };
}

function filled(empty: View, part: PartFields, status: string): View {
  return { ...empty, ...('status' in empty ? { status } : {}), content: [part] };
}
