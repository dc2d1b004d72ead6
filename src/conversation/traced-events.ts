/** The events of a turn that is over, made again from what was committed: the same, under the same numbers. */

import type { EndedTurn, RequestedCall, StartedCall, TurnEvent } from './event.ts';
import type { ApprovalRequestItem, FunctionCallItem, Item, McpCallItem } from './item.ts';
import type { TextKind, TraceStep } from './trace.ts';

/** All events of the turn, the first one's number being 0. Without a trace those on the way to its end are missing. */
export function tracedEvents(ended: EndedTurn): TurnEvent[] {
  const { turn } = ended;
  const events: TurnEvent[] = [{ type: 'turn.started', turn }];
  const trace = turn.trace ?? [];
  const discarded = trace.flatMap((step) => (step.kind === 'restart' ? (step.calls ?? []) : []));
  const calls = new Map([...turn.output.filter(isCall), ...discarded].map((call) => [call.id, call]));
  const said = reader(textsOf(turn.output));
  let made: Made[] = [];
  for (const step of trace) {
    if (isMade(step)) {
      made.push(step);
      continue;
    }
    // What is followed by a restart was discarded, and is no part of the output.
    tell(step.kind === 'restart' ? reader(step) : said);
    events.push(...eventsOf(step, calls));
  }
  tell(said);
  events.push(lastEvent(ended));
  return events;

  function tell(read: ReturnType<typeof reader>): void {
    for (const step of made) {
      if (!('lengths' in step)) events.push(...eventsOf(step, calls));
      else for (const length of step.lengths) events.push(deltaOf(step.kind, read(step.kind, length)));
    }
    made = [];
  }
}

type Pieces = Extract<TraceStep, { lengths: readonly number[] }>;
type Happening = Exclude<TraceStep, Pieces>;

/** What the model makes in one go, and may have to begin anew. */
type Made = Pieces | Extract<TraceStep, { itemId: string }>;

function isMade(step: TraceStep): step is Made {
  return 'lengths' in step || step.kind === 'tool-requested' || step.kind === 'approval-asked';
}

type Call = McpCallItem | ApprovalRequestItem | FunctionCallItem;

function isCall(item: Item): item is Call {
  return item.type === 'mcp_call' || item.type === 'mcp_approval_request' || item.type === 'function_call';
}

/** One, but for a call that is not in the output, as there is none. */
function eventsOf(step: Happening, calls: ReadonlyMap<string, Call>): TurnEvent[] {
  if (step.kind === 'restart') return [{ type: 'message.restart', reason: step.reason }];
  const call = calls.get(step.itemId);
  if (call === undefined) return [];
  if (call.type === 'function_call') return [{ type: 'tool.requested', call: requestedCall(call) }];
  if (call.type === 'mcp_approval_request') return [{ type: 'tool.approval_requested', request: call }];
  if (step.kind === 'input-asked') {
    return [{ type: 'tool.input_requested', call: startedCall(call), asked: step.asked }];
  }
  if (step.kind === 'input-given') {
    return [{ type: 'tool.input_answered', requestId: step.requestId, action: step.action }];
  }
  if (step.kind === 'tool-progress') {
    return [{ type: 'tool.progress', callId: call.call_id, progress: step.progress }];
  }
  if (step.kind === 'tool-completed') return [{ type: 'tool.completed', call }];
  return [{ type: 'tool.started', call: startedCall(call) }];
}

/** What is known of a call when it begins. */
export function startedCall({ id, call_id, server_label, name, arguments: args }: McpCallItem): StartedCall {
  return { id, call_id, server_label, name, arguments: args };
}

/** What is known of a call when the caller is asked for it. */
export function requestedCall({ id, call_id, name, arguments: args }: FunctionCallItem): RequestedCall {
  return { id, call_id, name, arguments: args };
}

/** The event that ends a turn. */
export function lastEvent(ended: EndedTurn): TurnEvent {
  return { type: ended.turn.error === null ? 'turn.completed' : 'turn.failed', ended };
}

/** Gives the texts piece by piece. */
function reader(texts: Partial<Record<TextKind, string>>) {
  const position = { message: 0, refusal: 0, reasoning: 0 };
  return (kind: TextKind, length: number): string => {
    const text = (texts[kind] ?? '').slice(position[kind], position[kind] + length);
    position[kind] += length;
    return text;
  };
}

/** A piece of what the model says, as followers see it: a refusal is a message to the caller too. */
export function deltaOf(kind: TextKind, text: string): TurnEvent {
  if (kind === 'refusal') return { type: 'message.delta', text, isRefusal: true };
  return { type: `${kind}.delta`, text };
}

/** The text of an output, of each kind in the order in which it was streamed. */
function textsOf(output: readonly Item[]): Record<TextKind, string> {
  const texts = { message: '', refusal: '', reasoning: '' };
  for (const item of output) {
    if (item.type === 'reasoning') {
      for (const part of item.content) texts.reasoning += part.text;
    } else if (item.type === 'message') {
      for (const part of item.content) {
        if (part.type === 'output_text') texts.message += part.text;
        else if (part.type === 'refusal') texts.refusal += part.refusal;
      }
    }
  }
  return texts;
}
