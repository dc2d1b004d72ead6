/**
 * A turn's events as the chunks of a chat completion: those of the provider as they came, where they are told of, and
 * made of the events where they are not.
 */

import type { AnswerFrame, TurnEvent } from '../../conversation/event.ts';
import type { Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { StreamWire } from '../stream-wire.ts';
import { turnFailure } from '../views.ts';
import { completionIdOf, finishReasonOf, usageOf } from './chat-view.ts';
import { openAIErrorBody } from './openai-error.ts';

/**
 * @param model as it was asked for: which one answers is known when the answer is whole
 * @param includesUsage whether the client wants a last chunk with what was used
 */
export function chatWire(model: string, includesUsage: boolean): StreamWire {
  let turn: Turn | null = null;
  let calls = 0;
  let hasBegun = false;
  /** The last chunk that came from the provider. */
  let relayed: string | null = null;
  let saysReason = false;
  let saysUsage = false;
  /** Whether the answer did not become a whole one: then nothing says that it is. */
  let isBroken = false;
  return {
    frame: ({ event }) => (isBroken ? '' : framesOf(event)),
    expired: () => breakOff(new AppError('events_expired')),
    over: () => isBroken,
    end: () => (isBroken ? '' : 'data: [DONE]\n\n'),
  };

  function framesOf(event: TurnEvent): string {
    switch (event.type) {
      case 'turn.started':
        turn = event.turn;
        return '';
      case 'frame':
        return relay(event.frame);
      case 'message.delta':
        return piece(event.isRefusal === true ? { refusal: event.text } : { content: event.text });
      case 'reasoning.delta':
        return piece({ reasoning_content: event.text });
      case 'tool.requested': {
        const { call_id: id, name, arguments: args } = event.call;
        const call = { index: calls, id, type: 'function', function: { name, arguments: args } };
        calls += 1;
        return piece({ tool_calls: [call] });
      }
      case 'message.restart':
        return breakOff(new AppError('provider_error'));
      case 'turn.completed':
        return ended(event.ended.turn);
      case 'turn.failed':
        return breakOff(turnFailure(event.ended));
      case 'tool.started':
      case 'tool.progress':
      case 'tool.completed':
      case 'tool.approval_requested':
      case 'tool.input_requested':
      case 'tool.input_answered':
        return '';
    }
  }

  /** What was used is always asked for, and is shown to who has asked. */
  function relay({ data, ends, isUsage }: AnswerFrame): string {
    if (isUsage && !includesUsage) return '';
    hasBegun = true;
    relayed = data;
    saysReason ||= ends;
    saysUsage ||= isUsage;
    return frame(data);
  }

  function ended(over: Turn): string {
    // Nothing is missing of an answer that came to its end as the provider makes it.
    if (saysReason) return '';
    // An answer that says nothing is an answer too, and has a beginning.
    const beginning = hasBegun ? '' : piece({});
    const last = chunk([{ index: 0, delta: {}, logprobs: null, finish_reason: finishReasonOf(over) }]);
    const used = over.usage === null ? null : usageOf(over.usage);
    return beginning + last + (includesUsage && !saysUsage ? chunk([], used) : '');
  }

  /** The first piece says whose it is. */
  function piece(delta: object): string {
    const role = hasBegun ? {} : { role: 'assistant', ...('content' in delta ? {} : { content: '' }) };
    hasBegun = true;
    return chunk([{ index: 0, delta: { ...role, ...delta }, logprobs: null, finish_reason: null }]);
  }

  function chunk(choices: object[], usage: object | null = null): string {
    const made = {
      id: turn === null ? '' : completionIdOf(turn),
      object: 'chat.completion.chunk',
      created: Math.floor((turn?.createdAt ?? 0) / 1000),
      model: turn?.model ?? model,
      ...begunAs(relayed),
      choices,
      ...(includesUsage ? { usage } : {}),
    };
    return frame(JSON.stringify(made));
  }

  function breakOff(error: AppError): string {
    isBroken = true;
    return frame(JSON.stringify(openAIErrorBody(error)));
  }
}

function frame(data: string): string {
  // JSON may have lines, and in a stream of events each of them is one of its own.
  return `data: ${data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data}\n\n`;
}

/** What follows a provider's chunk is a chunk of the same answer, whoever makes it. */
function begunAs(relayed: string | null): { id?: unknown; created?: unknown; model?: unknown } {
  if (relayed === null) return {};
  const { id, created, model } = JSON.parse(relayed);
  return {
    ...(id === undefined ? {} : { id }),
    ...(created === undefined ? {} : { created }),
    ...(model === undefined ? {} : { model }),
  };
}
