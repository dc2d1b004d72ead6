/** What the model has made so far in a turn: the events of a route, joined to items, and how they came. */

import { newItemId } from '../conversation/id.ts';
import type { Item, ItemStatus } from '../conversation/item.ts';
import type { Trace } from '../conversation/trace.ts';
import type { Attempt, FinishReason, ProviderSource } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import type { RouteEvent } from '../routing/route.ts';
import { createTraceRecord } from './trace-record.ts';

export interface Answer {
  add(event: RouteEvent): void;
  /**
   * The items in the order in which the model began them; text of one kind that arrives in a row is one item.
   * @param status of the last item, which is where the model was when it stopped
   */
  items(status: ItemStatus): Item[];
  /** Whether there is anything that a reader would see. */
  hasText(): boolean;
  /** Who answers, or was tried last; null before the first try. */
  target(): { provider: string; model: string; source: ProviderSource } | null;
  attempts(): readonly Attempt[];
  /** Why the model stopped and what it used; null until it has. */
  finish(): { reason: FinishReason; usage: Usage | null } | null;
  trace(): Trace;
}

type Piece =
  | { kind: 'text' | 'refusal' | 'reasoning'; text: string }
  | { kind: 'call'; callId: string; name: string; arguments: string };

export function createAnswer(): Answer {
  let pieces: Piece[] = [];
  const attempts: Attempt[] = [];
  const trace = createTraceRecord();
  let target: ReturnType<Answer['target']> = null;
  let finish: ReturnType<Answer['finish']> = null;
  return {
    add,
    items,
    hasText,
    target: () => target,
    attempts: () => attempts,
    finish: () => finish,
    trace: trace.steps,
  };

  function add(event: RouteEvent): void {
    switch (event.type) {
      case 'text-delta':
        trace.add('message', event.text.length);
        return addText('text', event.text);
      case 'refusal-delta':
        trace.add('message', event.text.length);
        return addText('refusal', event.text);
      case 'reasoning-delta':
        trace.add('reasoning', event.text.length);
        return addText('reasoning', event.text);
      case 'tool-call':
        pieces.push({ kind: 'call', callId: event.callId, name: event.name, arguments: event.arguments });
        return;
      case 'finish':
        finish = { reason: event.reason, usage: event.usage };
        if (target !== null) target.model = event.model;
        return;
      case 'restart':
        trace.restart(event.reason, said('message'), said('reasoning'));
        pieces = [];
        return;
      case 'attempt-started':
        target = { provider: event.provider, model: event.model, source: event.source };
        return;
      case 'attempt-ended':
        attempts.push(event.attempt);
    }
  }

  function hasText(): boolean {
    return pieces.some((piece) => piece.kind !== 'reasoning');
  }

  function addText(kind: 'text' | 'refusal' | 'reasoning', text: string): void {
    const last = pieces.at(-1);
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  }

  function said(what: 'message' | 'reasoning'): string {
    let text = '';
    for (const piece of pieces) {
      if (piece.kind !== 'call' && (piece.kind === 'reasoning') === (what === 'reasoning'))
        text += piece.text;
    }
    return text;
  }

  function items(status: ItemStatus): Item[] {
    // A model may answer with nothing; that is an answer too, and the conversation keeps its alternation.
    if (pieces.length === 0 && finish !== null) return [toItem({ kind: 'text', text: '' }, status)];
    return pieces.map((piece, index) => toItem(piece, index === pieces.length - 1 ? status : 'completed'));
  }
}

function toItem(piece: Piece, status: ItemStatus): Item {
  switch (piece.kind) {
    case 'text':
    case 'refusal':
      return {
        type: 'message',
        id: newItemId('msg'),
        role: 'assistant',
        status,
        content: [
          piece.kind === 'text'
            ? { type: 'output_text', text: piece.text, annotations: [], logprobs: [] }
            : { type: 'refusal', refusal: piece.text },
        ],
      };
    case 'reasoning':
      return {
        type: 'reasoning',
        id: newItemId('rs'),
        summary: [],
        content: [{ type: 'reasoning_text', text: piece.text }],
      };
    case 'call':
      return {
        type: 'function_call',
        id: newItemId('fc'),
        call_id: piece.callId,
        name: piece.name,
        arguments: piece.arguments,
        status,
      };
  }
}
