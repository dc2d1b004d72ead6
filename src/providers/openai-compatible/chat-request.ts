/** From a prompt to the body of a Chat Completions request. Sends nothing. */

import type { Continuation, Prompt } from '../provider.ts';
import { chatMessages } from './chat-messages.ts';

interface ChatRequest extends Record<string, unknown> {
  model: string;
  messages: readonly unknown[];
  stream: boolean;
}

/**
 * The request for a prompt. The caller's options pass through, except where they contradict the prompt.
 *
 * @param continuation how the provider is asked to go on with `prompt.continueFrom`; `none` asks for a whole answer
 */
export function chatRequest(prompt: Prompt, continuation: Continuation): ChatRequest {
  // Providers refuse `stream_options` beside `stream: false`, and what is meant for servers whose tools answer.
  const { stream_options: streamOptions, tool_name: _, ...options } = prompt.options;
  const request = {
    ...options,
    model: prompt.model,
    messages: messagesOf(prompt, continuation),
    stream: prompt.stream,
  };
  if (!prompt.stream) return request;
  const wanted = typeof streamOptions === 'object' ? streamOptions : {};
  return { ...request, stream_options: { ...wanted, include_usage: true } };
}

/** As the caller wrote them, where that is known; then what follows them. */
function messagesOf(prompt: Prompt, continuation: Continuation): readonly unknown[] {
  if (prompt.messages === undefined) return chatMessages(prompt, continuation);
  return [...prompt.messages, ...chatMessages({ ...prompt, instructions: null, items: [] }, continuation)];
}
