/** Reads an answer that is not streamed: one JSON object, to the events that its stream would have had. */

import type { FinishReason } from '../../conversation/turn.ts';
import type { Usage } from '../../conversation/usage.ts';
import { ProviderError, type ProviderEvent } from '../provider.ts';
import type { AnswerContext, AnswerReader } from './answer-reader.ts';
import {
  firstChoice,
  nonEmpty,
  parseAnswer,
  readFinishReason,
  readUsage,
  reasoningOf,
  settledReason,
  toolCallsOf,
  type WireMessage,
} from './chat-wire.ts';
import { errorInAnswer } from './provider-error.ts';
import { createToolCallPieces } from './tool-call-pieces.ts';

/** In bytes. Far beyond any model's longest answer, and little enough to hold for some turns at once. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** A reader for one whole answer. */
export function createChatAnswer(context: AnswerContext): AnswerReader {
  const chunks: Uint8Array[] = [];
  let bytesHeld = 0;
  let events: readonly ProviderEvent[] = [];
  let state: AnswerReader['state'] = 'open';

  return {
    push(bytes) {
      if (state !== 'open') return;
      bytesHeld += bytes.length;
      if (bytesHeld > MAX_BODY_BYTES)
        state = new ProviderError('answer_too_large', { status: context.status });
      else chunks.push(bytes);
    },
    end() {
      if (state !== 'open') return;
      const outcome = readAnswer(Buffer.concat(chunks, bytesHeld).toString(), context);
      if (outcome instanceof ProviderError) state = outcome;
      else {
        events = outcome;
        state = 'complete';
      }
    },
    take() {
      const taken = events;
      events = [];
      return taken;
    },
    get state() {
      return state;
    },
    // It comes with the answer, or not at all.
    usage: null,
  };
}

function readAnswer(text: string, context: AnswerContext): ProviderEvent[] | ProviderError {
  const answer = parseAnswer(text);
  if (answer === null) return invalid(context);
  if (answer.error) return errorInAnswer(answer.error, false, context);
  const choice = firstChoice(answer);
  if (choice === null) return invalid(context);
  const reason = readFinishReason(choice.finish_reason);
  if (choice.error || reason === 'error') return errorInAnswer(choice.error, false, context);
  const { message } = choice;
  if (typeof message !== 'object' || message === null) return invalid(context);
  const events = messageEvents(message, {
    reason,
    usage: readUsage(answer.usage),
    model: nonEmpty(answer.model) ?? context.model,
  });
  if (!context.tellsFrames) return events;
  return [{ type: 'frame', frame: { data: text, ends: true, isUsage: false, showsMore: false } }, ...events];
}

/** The events of a whole message, and of what came with it. @param reason null where nothing was said */
export function messageEvents(
  message: WireMessage,
  { reason, usage, model }: { reason: FinishReason | null; usage: Usage | null; model: string },
): ProviderEvent[] {
  const events: ProviderEvent[] = [];
  const reasoning = reasoningOf(message);
  if (reasoning !== null) events.push({ type: 'reasoning-delta', text: reasoning });
  const content = nonEmpty(message.content);
  if (content !== null) events.push({ type: 'text-delta', text: content });
  const refusal = nonEmpty(message.refusal);
  if (refusal !== null) events.push({ type: 'refusal-delta', text: refusal });
  const pieces = createToolCallPieces();
  // Whole calls have no index: their place is one.
  for (const [index, call] of toolCallsOf(message).entries()) pieces.add([{ ...call, index }]);
  const calls = pieces.calls();
  const settled = settledReason(reason, calls.length);
  return [...events, ...calls, { type: 'finish', reason: settled, usage, model }];
}

function invalid({ status }: AnswerContext): ProviderError {
  return new ProviderError('invalid_answer', { status });
}
