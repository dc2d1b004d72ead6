/** Spans around what providers are asked, in the words of OpenTelemetry's GenAI conventions. */

import { type Attributes, context, type Span, SpanKind, type Tracer, trace } from '@opentelemetry/api';
import type { PromptItem } from '../conversation/item.ts';
import type { FinishReason } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import { failSpan } from './failed-span.ts';
import { inputJson, instructionsJson, MAX_CONTENT, type MadePart, outputJson } from './trace-messages.ts';
import { sessionIn } from './trace-turns.ts';

/** What is read of a prompt. */
export interface TracedPrompt {
  readonly model: string;
  readonly instructions: string | null;
  readonly items: readonly PromptItem[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly stream: boolean;
  readonly continueFrom: string | null;
}

/** What is read of an answer. */
export type TracedEvent =
  /** What the events after it were read from. */
  | { type: 'frame' }
  | { type: 'text-delta' | 'refusal-delta' | 'reasoning-delta'; text: string }
  | { type: 'tool-call'; callId: string; name: string; arguments: string }
  | { type: 'finish'; reason: FinishReason; usage: Usage | null; model: string };

/** Whoever answers prompts: a provider, though this room does not know its contract. */
export interface TracedProvider {
  readonly name: string;
  stream(prompt: TracedPrompt, signal: AbortSignal): AsyncIterable<TracedEvent>;
}

/**
 * The same provider, each attempt of which is a span, from the first event that is asked for to the end of the
 * stream. The span is active in the provider, so that what it sends can name it.
 * @param captureContents whether the spans hold what is said
 */
export function traceAttempts<Provider extends TracedProvider>(
  provider: Provider,
  tracer: Tracer,
  captureContents: boolean,
): Provider {
  return { ...provider, stream };

  async function* stream(prompt: TracedPrompt, signal: AbortSignal): AsyncGenerator<TracedEvent> {
    const attributes = requestAttributes(provider.name, prompt);
    const span = tracer.startSpan(`chat ${prompt.model}`, { kind: SpanKind.CLIENT, attributes });
    const inSpan = trace.setSpan(context.active(), span);
    const record = createRecord(span, prompt, captureContents && span.isRecording());
    const events = provider.stream(prompt, signal)[Symbol.asyncIterator]();
    // Each event is asked for in the span's context: a generator goes on in that of whoever asks.
    const next = () => context.with(inSpan, () => events.next());
    try {
      for (let result = await next(); result.done !== true; result = await next()) {
        record.add(result.value);
        yield result.value;
      }
    } catch (error) {
      record.fail(error, signal);
      throw error;
    } finally {
      record.end();
      await context.with(inSpan, () => events.return?.());
    }
  }
}

interface AttemptRecord {
  add(event: TracedEvent): void;
  fail(error: unknown, signal: AbortSignal): void;
  end(): void;
}

function createRecord(span: Span, prompt: TracedPrompt, captureContents: boolean): AttemptRecord {
  const startedAt = performance.now();
  const made = captureContents ? createMade() : null;
  let first = true;
  let reason: FinishReason | 'error' | null = null;
  if (captureContents) span.setAttributes(inputAttributes(prompt));
  return { add, fail, end };

  function add(event: TracedEvent): void {
    if (first && prompt.stream) {
      span.setAttribute('gen_ai.response.time_to_first_chunk', (performance.now() - startedAt) / 1000);
    }
    first = false;
    made?.add(event);
    if (event.type !== 'finish') return;
    reason = event.reason;
    span.setAttributes({
      'gen_ai.response.model': event.model,
      'gen_ai.response.finish_reasons': [event.reason],
      ...usageAttributes(event.usage),
    });
  }

  function fail(error: unknown, signal: AbortSignal): void {
    reason = 'error';
    const { kind, usage } = failureOf(error);
    span.setAttributes(usageAttributes(usage ?? null));
    failSpan(span, kind ?? (signal.aborted ? 'aborted' : 'internal'));
  }

  function end(): void {
    // Whoever asked has turned away in the middle: the answer was too large, or of no use.
    if (reason === null) failSpan(span, '_OTHER');
    if (made !== null) span.setAttribute('gen_ai.output.messages', outputJson(made.parts, reason ?? 'error'));
    span.end();
  }
}

function requestAttributes(
  provider: string,
  { model, options, stream, continueFrom }: TracedPrompt,
): Attributes {
  const sessionId = sessionIn(context.active());
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': provider,
    'gen_ai.request.model': model,
    'gen_ai.request.stream': stream,
    ...(sessionId === null ? {} : { 'gen_ai.conversation.id': sessionId }),
    ...(continueFrom === null ? {} : { 'parley.attempt.continues': true }),
    ...optionAttributes(options),
  };
}

/** Options that are numbers: whatever else a caller passes may be content. */
const NUMBERS = {
  temperature: 'gen_ai.request.temperature',
  top_p: 'gen_ai.request.top_p',
  max_tokens: 'gen_ai.request.max_tokens',
  max_completion_tokens: 'gen_ai.request.max_tokens',
  frequency_penalty: 'gen_ai.request.frequency_penalty',
  presence_penalty: 'gen_ai.request.presence_penalty',
  seed: 'gen_ai.request.seed',
};

function optionAttributes(options: TracedPrompt['options']): Attributes {
  const attributes: Attributes = {};
  for (const [option, attribute] of Object.entries(NUMBERS)) {
    const value = options[option];
    if (typeof value === 'number') attributes[attribute] = value;
  }
  return attributes;
}

function usageAttributes(usage: Usage | null): Attributes {
  if (usage === null) return {};
  return {
    'gen_ai.usage.input_tokens': usage.input_tokens,
    'gen_ai.usage.cache_read.input_tokens': usage.input_tokens_details.cached_tokens,
    'gen_ai.usage.output_tokens': usage.output_tokens,
    'gen_ai.usage.reasoning.output_tokens': usage.output_tokens_details.reasoning_tokens,
  };
}

function inputAttributes({ instructions, items, continueFrom }: TracedPrompt): Attributes {
  return {
    ...(instructions === null ? {} : { 'gen_ai.system_instructions': instructionsJson(instructions) }),
    'gen_ai.input.messages': inputJson(items, continueFrom),
  };
}

interface Failure {
  /** Its class in the failure table; left out for what is no failure of a provider. */
  kind?: string;
  usage?: Usage | undefined;
}

/** What an error says of a provider's failure. Its own words are not read: they may quote the conversation. */
function failureOf(error: unknown): Failure {
  const isFailure = error instanceof Error && error.name === 'ProviderError';
  return isFailure ? (error as Failure) : {};
}

/** The parts of an answer as they are made, up to what is shown of them. */
function createMade(): { readonly parts: readonly MadePart[]; add(event: TracedEvent): void } {
  const parts: MadePart[] = [];
  let characters = 0;
  return { parts, add };

  function add(event: TracedEvent): void {
    if (event.type === 'finish' || event.type === 'frame' || characters > MAX_CONTENT) return;
    if (event.type === 'tool-call') {
      const { callId: id, name, arguments: given } = event;
      parts.push({ type: 'tool_call', id, name, arguments: given });
      characters += given.length;
      return;
    }
    const type = KINDS[event.type];
    const last = parts.at(-1);
    if (last?.type === type) last.content += event.text;
    else parts.push({ type, content: event.text });
    characters += event.text.length;
  }
}

const KINDS = { 'text-delta': 'text', 'refusal-delta': 'refusal', 'reasoning-delta': 'reasoning' } as const;
