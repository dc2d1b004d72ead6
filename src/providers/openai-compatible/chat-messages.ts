/** From a prompt to the messages of Chat Completions, whoever is sent them. */

import type { PromptItem } from '../../conversation/item.ts';
import { answerOf, type ChatToolCall, contentOf, type MessageContent } from '../../conversation/message.ts';
import type { Continuation, Prompt } from '../provider.ts';

export interface ChatMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: MessageContent | null;
  refusal?: string;
  tool_calls?: readonly ChatToolCall[];
  tool_call_id?: string;
}

/** What a model is told that cannot be given the beginning of its answer. */
const GO_ON =
  'Your answer above was cut off. Go on exactly after its last character: repeat nothing, and add no introduction.';

/**
 * The instructions, and what was said so far.
 *
 * @param continuation how the provider is asked to go on with `prompt.continueFrom`; `none` asks for a whole answer
 */
export function chatMessages(prompt: Prompt, continuation: Continuation): ChatMessage[] {
  const { instructions, items } = prompt;
  const continueFrom = continuation === 'none' ? null : prompt.continueFrom;
  const messages: ChatMessage[] = [];
  if (instructions !== null) messages.push({ role: 'system', content: instructions });
  /** What the model made since the last input: one answer, which providers take as one message. */
  let answer: PromptItem[] = [];
  for (const item of items) {
    if (item.type === 'reasoning') continue;
    if (item.type === 'function_call' || (item.type === 'message' && item.role === 'assistant')) {
      answer.push(item);
      continue;
    }
    if (answer.length > 0) messages.push(assistantMessage(answer));
    answer = [];
    const content = contentOf(item) ?? '';
    messages.push(
      item.type === 'message'
        ? { role: item.role, content }
        : { role: 'tool', tool_call_id: item.call_id, content },
    );
  }
  if (answer.length > 0 || continueFrom !== null) messages.push(assistantMessage(answer, continueFrom ?? ''));
  if (continueFrom !== null && continuation === 'instruct') messages.push({ role: 'user', content: GO_ON });
  return messages;
}

/** @param begun what there is already of the answer that follows the items */
function assistantMessage(items: readonly PromptItem[], begun = ''): ChatMessage {
  const { text: said, refusal, calls } = answerOf(items);
  const text = said + begun;
  const onlyText = refusal === '' && calls.length === 0;
  return {
    role: 'assistant',
    // Null is allowed only beside something else; a message that says nothing says it as text.
    content: text !== '' || onlyText ? text : null,
    ...(refusal === '' ? {} : { refusal }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}
