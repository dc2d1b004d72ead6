/** From the result of a tool that answers to the events of an answer. Nothing of it is trusted. */

import type { Usage } from '../conversation/usage.ts';
import { messageEvents } from './openai-compatible/chat-answer.ts';
import { nonEmpty, readFinishReason, readUsage, type WireMessage } from './openai-compatible/chat-wire.ts';
import { errorInAnswer } from './openai-compatible/provider-error.ts';
import { createRedact } from './openai-compatible/redact.ts';
import { ProviderError, type ProviderEvent } from './provider.ts';

/** What came of the call. */
export interface ChatToolResult {
  /** Empty where the tool gives no text. */
  text: string;
  /** Whether the tool says that it failed; the text then says why. */
  isError: boolean;
  /** The result as data, if the tool gives any: any JSON value. */
  structured?: unknown;
}

/** What is read of a result's data. */
interface ToolAnswer {
  message?: unknown;
  finish_reason?: unknown;
  usage?: unknown;
  model?: unknown;
  error?: unknown;
}

interface ResponsesUsage {
  input_tokens?: unknown;
  output_tokens?: unknown;
  input_tokens_details?: unknown;
  output_tokens_details?: unknown;
}

/**
 * A reader of results: the `message` of their data is the answer, else their text. It throws `ProviderError` for those
 * that tell of a failure, or have neither.
 *
 * @param secrets blanked in what a tool says of its failures
 */
export function createChatToolReader(
  secrets: readonly string[],
): (result: ChatToolResult, tool: string) => ProviderEvent[] {
  const redact = createRedact(secrets);
  return ({ text, isError, structured }, tool) => {
    const data: ToolAnswer | null = objectOf(structured);
    const usage = usageOf(data?.usage);
    const reason = readFinishReason(data?.finish_reason);
    if (isError || data?.error || reason === 'error') {
      throw errorInAnswer(data?.error ?? text, false, { redact }, usage);
    }
    const message = messageOf(data?.message ?? undefined) ?? textMessage(text, structured);
    return messageEvents(message, { reason, usage, model: nonEmpty(data?.model) ?? tool });
  };
}

function objectOf(value: unknown): object | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

/** An empty text is an answer, but not beside data in which the answer may be under another name. */
function textMessage(text: string, structured: unknown): WireMessage {
  if (text === '' && structured !== undefined) throw new ProviderError('invalid_answer');
  return { content: text };
}

/** The message, with its content as text; undefined if there is none. */
function messageOf(value: unknown): WireMessage | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return { content: value };
  const message: WireMessage | null = objectOf(value);
  if (message === null) throw new ProviderError('invalid_answer');
  return { ...message, content: textOf(message.content ?? '') };
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw new ProviderError('invalid_answer');
  return content.map(partText).join('');
}

/** A part that is no text cannot be left out of an answer that is passed off as whole. */
function partText(part: { text?: unknown } | null): string {
  if (typeof part?.text !== 'string') throw new ProviderError('invalid_answer');
  return part.text;
}

/** In the words of Chat Completions, or in those of the Responses API. */
function usageOf(value: unknown): Usage | null {
  const told: ResponsesUsage | null = objectOf(value);
  if (told === null) return null;
  const renamed = {
    ...told,
    prompt_tokens: told.input_tokens,
    completion_tokens: told.output_tokens,
    prompt_tokens_details: told.input_tokens_details,
    completion_tokens_details: told.output_tokens_details,
  };
  return readUsage(told) ?? readUsage(renamed);
}
