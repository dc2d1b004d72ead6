/** The events of a turn that is over, made again from what was committed: the same, under the same numbers. */

import type { EndedTurn, StartedCall, TurnEvent } from './event.ts';
import type { ApprovalRequestItem, Item, McpCallItem } from './item.ts';
import type { TraceStep } from './trace.ts';

/** All events of the turn, the first one's number being 0. Without a trace those on the way to its end are missing. */
export function tracedEvents(ended: EndedTurn): TurnEvent[] {
  const { turn } = ended;
  const events: TurnEvent[] = [{ type: 'turn.started', turn }];
  const trace = turn.trace ?? [];
  const calls = new Map(turn.output.filter(isCall).map((call) => [call.id, call]));
  const said = reader(textsOf(turn.output));
  let pieces: Pieces[] = [];
  for (const step of trace) {
    if ('lengths' in step) {
      pieces.push(step);
      continue;
    }
    // What is followed by a restart was discarded, and is no part of the output.
    addPieces(events, pieces, step.kind === 'restart' ? reader(step) : said);
    pieces = [];
    events.push(...eventsOf(step, calls));
  }
  addPieces(events, pieces, said);
  events.push(lastEvent(ended));
  return events;
}

type Pieces = Extract<TraceStep, { lengths: readonly number[] }>;

type Happening = Exclude<TraceStep, Pieces>;
type Call = McpCallItem | ApprovalRequestItem;

function isCall(item: Item): item is Call {
  return item.type === 'mcp_call' || item.type === 'mcp_approval_request';
}

/** One, but for a call that is not in the output, as there is none. */
function eventsOf(step: Happening, calls: ReadonlyMap<string, Call>): TurnEvent[] {
  if (step.kind === 'restart') return [{ type: 'message.restart', reason: step.reason }];
  const call = calls.get(step.itemId);
  if (call === undefined) return [];
  if (call.type === 'mcp_approval_request') return [{ type: 'tool.approval_requested', request: call }];
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

/** The event that ends a turn. */
export function lastEvent(ended: EndedTurn): TurnEvent {
  return { type: ended.turn.error === null ? 'turn.completed' : 'turn.failed', ended };
}

interface Texts {
  message: string;
  reasoning: string;
}

/** Gives the texts piece by piece. */
function reader(texts: Texts) {
  const position = { message: 0, reasoning: 0 };
  return (kind: keyof Texts, length: number): string => {
    const text = texts[kind].slice(position[kind], position[kind] + length);
    position[kind] += length;
    return text;
  };
}

function addPieces(events: TurnEvent[], pieces: readonly Pieces[], read: ReturnType<typeof reader>): void {
  for (const { kind, lengths } of pieces) {
    for (const length of lengths) events.push({ type: `${kind}.delta`, text: read(kind, length) });
  }
}

/** The text of an output as it was streamed: refusals are part of the message. */
function textsOf(output: readonly Item[]): Texts {
  const texts = { message: '', reasoning: '' };
  for (const item of output) {
    if (item.type === 'reasoning') {
      for (const part of item.content) texts.reasoning += part.text;
    } else if (item.type === 'message') {
      for (const part of item.content) {
        if (part.type === 'output_text') texts.message += part.text;
        else if (part.type === 'refusal') texts.message += part.refusal;
      }
    }
  }
  return texts;
}
