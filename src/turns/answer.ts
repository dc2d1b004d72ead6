/** What the model has made so far in a turn: the events of a route, joined to items, and how they came. */

import type { RequestedCall } from '../conversation/event.ts';
import { outputItemId } from '../conversation/id.ts';
import type {
  ApprovalRequestItem,
  FunctionCallItem,
  Item,
  ItemStatus,
  McpCallItem,
} from '../conversation/item.ts';
import type { Discarded, TextKind, Trace } from '../conversation/trace.ts';
import { requestedCall } from '../conversation/traced-events.ts';
import type { Attempt, FinishReason, ProviderSource } from '../conversation/turn.ts';
import { sumOfUsage, type Usage } from '../conversation/usage.ts';
import type { RouteEvent } from '../routing/route.ts';
import type { CallEvent } from './run-calls.ts';
import { createTraceRecord } from './trace-record.ts';

export interface Answer {
  add(event: RouteEvent | CallEvent): void;
  /** The last call of the caller's tools. */
  lastRequested(): RequestedCall | undefined;
  /** The model goes on, with the results of its calls: what it made so far stays, whatever becomes of the rest. */
  nextStep(): void;
  /**
   * The items in the order in which the model began them; text of one kind that arrives in a row is one item.
   * @param status of the last item, which is where the model was when it stopped
   */
  items(status: ItemStatus): Item[];
  /** Whether there is anything that a reader would see. */
  hasText(): boolean;
  /** The calls that the server makes, as they stand. */
  calls(): McpCallItem[];
  /** Whether somebody has to approve a call before the model can go on. */
  waitsForApproval(): boolean;
  /** Who answers, or was tried last; null before the first try. */
  target(): { provider: string; model: string; source: ProviderSource } | null;
  attempts(): readonly Attempt[];
  /** Why the model stopped, and what all its steps have used; null until it has. */
  finish(): { reason: FinishReason; usage: Usage | null } | null;
  trace(): Trace;
}

type Piece =
  | { kind: TextKind; id: string; text: string }
  | { kind: 'call'; item: FunctionCallItem }
  /** A call that the server runs. */
  | { kind: 'own-call'; item: McpCallItem }
  | { kind: 'approval'; item: ApprovalRequestItem };

/** @param turnId of which the ids of items are made */
export function createAnswer(turnId: string): Answer {
  const pieces: Piece[] = [];
  /** Items that the model has begun, those that it had to begin anew included. */
  let begun = 0;
  /** Where the pieces of the model's present step begin. */
  let stepStart = 0;
  const attempts: Attempt[] = [];
  const trace = createTraceRecord();
  let target: ReturnType<Answer['target']> = null;
  let finish: ReturnType<Answer['finish']> = null;
  let usedBefore: Usage | null = null;
  return {
    add,
    lastRequested() {
      const last = pieces.findLast((piece) => piece.kind === 'call');
      return last && requestedCall(last.item);
    },
    nextStep,
    items,
    hasText,
    calls: () => pieces.flatMap((piece) => (piece.kind === 'own-call' ? [piece.item] : [])),
    waitsForApproval: () => pieces.some(({ kind }) => kind === 'approval'),
    target: () => target,
    attempts: () => attempts,
    finish: () => finish,
    trace: trace.steps,
  };

  function add(event: RouteEvent | CallEvent): void {
    switch (event.type) {
      case 'text-delta':
        return addText('message', event.text);
      case 'refusal-delta':
        return addText('refusal', event.text);
      case 'reasoning-delta':
        return addText('reasoning', event.text);
      case 'tool-call':
        return addCall(event);
      case 'frame':
        return;
      case 'finish':
        finish = { reason: event.reason, usage: sumOfUsage(usedBefore, event.usage) };
        if (target !== null) target.model = event.model;
        return;
      case 'restart':
        trace.restart(event.reason, discarded());
        pieces.length = stepStart;
        return;
      case 'attempt-started':
        target = { provider: event.provider, model: event.model, source: event.source };
        return;
      case 'attempt-ended':
        attempts.push(event.attempt);
        return;
      case 'call-asked':
        pieces.push({ kind: 'own-call', item: event.call });
        return;
      case 'approval-asked':
        pieces.push({ kind: 'approval', item: event.request });
        return trace.tool({ kind: 'approval-asked', itemId: event.request.id });
      case 'call-started':
        trace.tool({ kind: 'tool-started', itemId: event.call.id });
        return replaceCall(event.call);
      case 'call-progress':
        return trace.tool({ kind: 'tool-progress', itemId: event.call.id, progress: event.progress });
      case 'input-asked':
        return trace.tool({ kind: 'input-asked', itemId: event.call.id, asked: event.asked });
      case 'input-given': {
        const { requestId, action } = event;
        return trace.tool({ kind: 'input-given', itemId: event.call.id, requestId, action });
      }
      case 'sampled':
        return addSampling(event.attempts, event.usage);
      case 'call-ended':
        trace.tool({ kind: 'tool-completed', itemId: event.call.id });
        replaceCall(event.call);
    }
  }

  /** What others have asked the model is no part of the answer, and part of what the turn has cost. */
  function addSampling(made: readonly Attempt[], usage: Usage | null): void {
    attempts.push(...made);
    if (finish === null) usedBefore = sumOfUsage(usedBefore, usage);
    else finish = { ...finish, usage: sumOfUsage(finish.usage, usage) };
  }

  function nextStep(): void {
    stepStart = pieces.length;
    usedBefore = finish?.usage ?? usedBefore;
    finish = null;
  }

  function replaceCall(item: McpCallItem): void {
    const index = pieces.findIndex((piece) => piece.kind === 'own-call' && piece.item.id === item.id);
    pieces[index] = { kind: 'own-call', item };
  }

  function hasText(): boolean {
    return pieces.some(({ kind }) => kind === 'message' || kind === 'refusal' || kind === 'call');
  }

  function addText(kind: TextKind, text: string): void {
    trace.add(kind, text.length);
    // A call of the server's in between is no event, and so parts nothing for whoever follows.
    const last = pieces.slice(stepStart).findLast((piece) => piece.kind !== 'own-call');
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, id: newItemId(kind === 'reasoning' ? 'rs' : 'msg'), text });
  }

  function addCall({ callId, name, arguments: args }: Extract<RouteEvent, { type: 'tool-call' }>): void {
    const id = newItemId('fc');
    const call = { type: 'function_call', id, call_id: callId, name, arguments: args } as const;
    pieces.push({ kind: 'call', item: { ...call, status: 'completed' } });
    trace.tool({ kind: 'tool-requested', itemId: id });
  }

  function newItemId(prefix: 'msg' | 'rs' | 'fc'): string {
    begun += 1;
    return outputItemId(prefix, turnId, begun);
  }

  /** What the model has said in this step. */
  function discarded(): Discarded {
    const said: Discarded = {};
    for (const piece of pieces.slice(stepStart)) {
      if ('text' in piece) said[piece.kind] = (said[piece.kind] ?? '') + piece.text;
      else if (piece.kind !== 'own-call') said.calls = [...(said.calls ?? []), piece.item];
    }
    return said;
  }

  function items(status: ItemStatus): Item[] {
    // A model may answer with nothing; that is an answer too, and the conversation keeps its alternation.
    const saysNothing = pieces.length === stepStart && finish !== null;
    const made: readonly Piece[] = saysNothing
      ? [...pieces, { kind: 'message', id: outputItemId('msg', turnId, begun + 1), text: '' }]
      : pieces;
    return made.map((piece, index) => toItem(piece, index === made.length - 1 ? status : 'completed'));
  }
}

function toItem(piece: Piece, status: ItemStatus): Item {
  switch (piece.kind) {
    case 'message':
    case 'refusal':
      return {
        type: 'message',
        id: piece.id,
        role: 'assistant',
        status,
        content: [
          piece.kind === 'message'
            ? { type: 'output_text', text: piece.text, annotations: [], logprobs: [] }
            : { type: 'refusal', refusal: piece.text },
        ],
      };
    case 'reasoning':
      return {
        type: 'reasoning',
        id: piece.id,
        summary: [],
        content: [{ type: 'reasoning_text', text: piece.text }],
      };
    case 'own-call':
    case 'approval':
      return piece.item;
    case 'call':
      return { ...piece.item, status };
  }
}
