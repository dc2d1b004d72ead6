/** The events of a turn that is over, made again from what was committed: the same, under the same numbers. */

import type { EndedTurn, TurnEvent } from './event.ts';
import type { Item } from './item.ts';
import type { TraceStep } from './trace.ts';

/** All events of the turn, the first one's number being 0. Without a trace those of the text are missing. */
export function tracedEvents(ended: EndedTurn): TurnEvent[] {
  const { turn } = ended;
  const events: TurnEvent[] = [{ type: 'turn.started', turn }];
  const trace = turn.trace ?? [];
  let begin = 0;
  for (const [index, step] of trace.entries()) {
    if (step.kind !== 'restart') continue;
    addPieces(events, trace.slice(begin, index), step);
    events.push({ type: 'message.restart', reason: step.reason });
    begin = index + 1;
  }
  addPieces(events, trace.slice(begin), textsOf(turn.output));
  events.push(lastEvent(ended));
  return events;
}

/** The event that ends a turn. */
export function lastEvent(ended: EndedTurn): TurnEvent {
  return { type: ended.turn.error === null ? 'turn.completed' : 'turn.failed', ended };
}

interface Texts {
  message: string;
  reasoning: string;
}

function addPieces(events: TurnEvent[], steps: readonly TraceStep[], texts: Texts): void {
  const position = { message: 0, reasoning: 0 };
  for (const step of steps) {
    if (step.kind === 'restart') continue;
    const { kind, lengths } = step;
    for (const length of lengths) {
      const text = texts[kind].slice(position[kind], position[kind] + length);
      position[kind] += length;
      events.push({ type: `${kind}.delta`, text });
    }
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
