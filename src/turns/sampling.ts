/**
 * Sampling: in the course of a call, a tool's server has a model answer something for it (`sampling/createMessage` of the
 * Model Context Protocol). It is asked as the turn's own model is, by the same targets under the same clocks, at the
 * expense of the same client; what is asked and answered is no part of the conversation, and nothing of the conversation
 * goes to the server.
 */

import type { MessagePart, PromptItem } from '../conversation/item.ts';
import type { Attempt, FinishReason } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import { type RouteConditions, type RoutedPrompt, route } from '../routing/route.ts';
import type { Targets } from '../routing/target.ts';

/** The parameters, as a server has sent them. */
export type SamplingParams = Readonly<Record<string, unknown>>;

export interface Sampled {
  /** The result, in the words of the protocol. */
  result: Record<string, unknown>;
  usage: Usage | null;
}

/** Why the model stopped, in the words of the protocol. */
const STOP_REASONS: Readonly<Record<FinishReason, string>> = {
  stop: 'endTurn',
  length: 'maxTokens',
  tool_calls: 'toolUse',
  content_filter: 'endTurn',
};

/**
 * Has the targets answer. Throws as `route` does, and an `Error` for what cannot be asked.
 * @param tell called with each try that is over, whatever came of it
 */
export async function sample(
  targets: Targets,
  prompt: RoutedPrompt,
  conditions: RouteConditions,
  signal: AbortSignal,
  tell: (attempt: Attempt) => void,
): Promise<Sampled> {
  let text = '';
  let result: Sampled | null = null;
  await route(targets, prompt, conditions, signal, (event) => {
    if (event.type === 'text-delta') text += event.text;
    else if (event.type === 'restart') text = '';
    else if (event.type === 'attempt-ended') tell(event.attempt);
    else if (event.type === 'finish') {
      const content = { type: 'text', text };
      const { model, reason, usage } = event;
      const stopReason = STOP_REASONS[reason];
      result = { result: { role: 'assistant', content, model, stopReason }, usage };
    }
  });
  if (result === null) throw new Error('a model has answered without an end');
  return result;
}

/**
 * The prompt that a server asks for. `modelPreferences` are hints, and the turn's own targets answer; `includeContext` asks
 * for more than servers are given, and is as if it were `none`. Throws for tools, and for contents that are none.
 */
export function samplingPrompt(params: SamplingParams, stream: boolean): RoutedPrompt {
  const { messages, systemPrompt, maxTokens, temperature, stopSequences, tools } = params;
  if (Array.isArray(tools) && tools.length > 0) throw new Error('sampling with tools is not offered');
  if (!Array.isArray(messages) || messages.length === 0) throw new Error('there are no messages');
  return {
    instructions: typeof systemPrompt === 'string' && systemPrompt !== '' ? systemPrompt : null,
    items: messages.map(itemOf),
    options: {
      ...(typeof maxTokens === 'number' ? { max_tokens: maxTokens } : {}),
      ...(typeof temperature === 'number' ? { temperature } : {}),
      ...(Array.isArray(stopSequences) && stopSequences.length > 0 ? { stop: stopSequences } : {}),
    },
    stream,
  };
}

function itemOf(message: unknown, index: number): PromptItem {
  const { role, content } = Object(message) as { role?: unknown; content?: unknown };
  if (role !== 'user' && role !== 'assistant') throw new Error('a message is neither user nor assistant');
  const blocks: unknown[] = Array.isArray(content) ? content : [content];
  const parts = blocks.map((block) => partOf(block, role));
  return { type: 'message', id: `sampling_${index}`, role, status: 'completed', content: parts };
}

function partOf(block: unknown, role: 'user' | 'assistant'): MessagePart {
  const { type, text, data, mimeType } = Object(block) as Record<string, unknown>;
  if (type === 'text' && typeof text === 'string') {
    return role === 'user'
      ? { type: 'input_text', text }
      : { type: 'output_text', text, annotations: [], logprobs: [] };
  }
  if (type === 'image' && role === 'user' && typeof data === 'string' && typeof mimeType === 'string') {
    return { type: 'input_image', image_url: `data:${mimeType};base64,${data}` };
  }
  throw new Error('a message has a content that no model is given here');
}
