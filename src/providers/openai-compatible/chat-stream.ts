/** Reads a streamed answer: server-sent events, in any split of bytes, to the provider's events. */

import { createParser, type ParseError } from 'eventsource-parser';
import type { AnswerFrame } from '../../conversation/event.ts';
import type { FinishReason } from '../../conversation/turn.ts';
import type { Usage } from '../../conversation/usage.ts';
import { ProviderError, type ProviderEvent, type ProviderFailure } from '../provider.ts';
import type { AnswerContext, AnswerReader } from './answer-reader.ts';
import {
  firstChoice,
  isOfSeveral,
  nonEmpty,
  parseAnswer,
  readFinishReason,
  readUsage,
  reasoningOf,
  settledReason,
  toolCallsOf,
  type WireAnswer,
  type WireChoice,
  type WireMessage,
} from './chat-wire.ts';
import { errorInAnswer } from './provider-error.ts';
import { createToolCallPieces } from './tool-call-pieces.ts';

/** What is held back, in characters: one event, or the pieces of tool calls. A long answer in one event fits. */
const MAX_HELD_CHARACTERS = 4 * 1024 * 1024;

/** One malformed event is an accident of some proxy; with a second one, text is being lost. */
const MAX_MALFORMED_EVENTS = 1;

const streaming = { stream: true } as const;

/** A reader for one streamed answer. */
export function createChatStream(context: AnswerContext): AnswerReader {
  const decoder = new TextDecoder();
  const parser = createParser({ onEvent, onError, maxBufferSize: MAX_HELD_CHARACTERS });
  const pieces = createToolCallPieces();
  let events: ProviderEvent[] = [];
  let state: AnswerReader['state'] = 'open';
  let reason: FinishReason | null = null;
  let usage: Usage | null = null;
  let model: string | null = null;
  let malformedEvents = 0;
  /** Frames, where they are told of, until there is an event to tell of with them; and what waits for a call's end. */
  let held: ProviderEvent[] = [];
  let heldCharacters = 0;
  /** Whether any event was read, any choice was seen, any event was made of them. */
  let read = false;
  let chosen = false;
  let begun = false;

  return {
    push(bytes) {
      if (state === 'open') parser.feed(decoder.decode(bytes, streaming));
    },
    end,
    take() {
      const taken = events;
      if (taken.length > 0) events = [];
      return taken;
    },
    get state() {
      return state;
    },
    get usage() {
      return usage;
    },
  };

  function end(): void {
    // Some servers leave out the empty line after the last event.
    if (state === 'open') parser.feed(`${decoder.decode()}\n\n`);
    if (state !== 'open') return;
    if (reason !== null) complete();
    else fail(failure(chosen ? 'interrupted' : 'invalid_answer'));
  }

  function onEvent({ data }: { data: string }): void {
    if (state !== 'open') return;
    if (data === '[DONE]') {
      if (chosen) complete();
      else fail(failure('invalid_answer'));
      return;
    }
    const answer = parseAnswer(data);
    if (answer === null) skip();
    else if (context.tellsFrames) readFrame(data, answer);
    else readEvent(answer);
    read = true;
  }

  /** A failure within a frame takes all of it along, and what failed before it was told can be made by another. */
  function readFrame(data: string, answer: WireAnswer): void {
    const told = events;
    events = [];
    readEvent(answer);
    const made = events;
    events = told;
    if (state !== 'open') return;
    const frame = frameOf(data, answer);
    held.push({ type: 'frame', frame }, ...made);
    heldCharacters += data.length;
    // The frames of a call are told with the call: one that was begun for the caller could not be made anew.
    if (pieces.size === 0 && (made.length > 0 || frame.showsMore)) release();
    else if (heldCharacters > MAX_HELD_CHARACTERS) tooLarge();
  }

  function release(): void {
    events.push(...held);
    held = [];
    heldCharacters = 0;
  }

  function onError(error: ParseError): void {
    if (error.type === 'max-buffer-size-exceeded') tooLarge(error);
  }

  function skip(): void {
    malformedEvents += 1;
    if (!read) fail(failure('invalid_answer'));
    else if (malformedEvents > MAX_MALFORMED_EVENTS) {
      fail(failure('interrupted'));
    }
  }

  function readEvent(answer: WireAnswer): void {
    if (answer.error) return failWith(answer.error);
    model ??= nonEmpty(answer.model);
    if (answer.usage) usage = readUsage(answer.usage) ?? usage;
    const choice = firstChoice(answer);
    if (choice !== null) readChoice(choice);
  }

  function readChoice(choice: WireChoice): void {
    chosen = true;
    if (choice.delta) readDelta(choice.delta);
    if (choice.error) return failWith(choice.error);
    const said = readFinishReason(choice.finish_reason);
    if (said === 'error') failWith(null);
    else if (said !== null) reason = said;
  }

  function readDelta(delta: WireMessage): void {
    const reasoning = reasoningOf(delta);
    if (reasoning !== null) emit({ type: 'reasoning-delta', text: reasoning });
    const text = nonEmpty(delta.content);
    if (text !== null) emit({ type: 'text-delta', text });
    const refusal = nonEmpty(delta.refusal);
    if (refusal !== null) emit({ type: 'refusal-delta', text: refusal });
    if (delta.tool_calls || delta.function_call) {
      pieces.add(toolCallsOf(delta));
      if (pieces.size > MAX_HELD_CHARACTERS) tooLarge();
    }
  }

  function emit(event: ProviderEvent): void {
    begun = true;
    events.push(event);
  }

  function complete(): void {
    release();
    const calls = pieces.calls();
    for (const call of calls) emit(call);
    emit({
      type: 'finish',
      reason: settledReason(reason, calls.length),
      usage,
      model: model ?? context.model,
      ...(malformedEvents === 0 ? {} : { malformedEvents }),
    });
    state = 'complete';
  }

  function tooLarge(cause?: unknown): void {
    fail(failure('invalid_answer', cause));
  }

  function failWith(error: unknown): void {
    fail(errorInAnswer(error, begun, context, usage));
  }

  function failure(kind: ProviderFailure, cause?: unknown): ProviderError {
    return new ProviderError(kind, { status: context.status, usage: usage ?? undefined, cause });
  }

  /** What failed first is what is told: later faults follow from it. */
  function fail(error: ProviderError): void {
    if (state === 'open') state = error;
  }
}

/** What a model may say beside text, in OpenAI's words and in OpenRouter's. */
const NO_TEXT = ['audio', 'images'] as const;

function showsMore(answer: WireAnswer): boolean {
  const delta = firstChoice(answer)?.delta;
  return isOfSeveral(answer) || NO_TEXT.some((name) => Object.keys(Object(delta?.[name])).length > 0);
}

function frameOf(data: string, answer: WireAnswer): AnswerFrame {
  const isUsage = Array.isArray(answer.choices) && answer.choices.length === 0 && Boolean(answer.usage);
  const ends = nonEmpty(firstChoice(answer)?.finish_reason) !== null;
  return { data, ends, isUsage, showsMore: showsMore(answer) };
}
