/** Items as the messages of Chat Completions. */

import type { PromptItem } from './item.ts';
import { answerOf, type ChatToolCall, contentOf, type MessageContent } from './message.ts';

export interface ChatMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: MessageContent | null;
  refusal?: string;
  tool_calls?: readonly ChatToolCall[];
  tool_call_id?: string;
}

/** The items of each message, in order: what a model makes between two inputs is one. Reasoning is part of none. */
export function itemsOfMessages(items: readonly PromptItem[]): PromptItem[][] {
  const groups: PromptItem[][] = [];
  for (const item of items) {
    if (item.type === 'reasoning') continue;
    const last = groups.at(-1);
    if (last !== undefined && isMade(item) && last.every(isMade)) last.push(item);
    else groups.push([item]);
  }
  return groups;
}

/** The message of such a group. */
export function chatMessage(group: readonly PromptItem[]): ChatMessage {
  const [first] = group;
  if (first === undefined || isMade(first)) return assistantMessage(group);
  const content = contentOf(first) ?? '';
  if (first.type === 'message') return { role: first.role, content };
  return { role: 'tool', content, ...('call_id' in first ? { tool_call_id: first.call_id } : {}) };
}

/** @param begun what there is already of the answer that follows the items */
export function assistantMessage(items: readonly PromptItem[], begun = ''): ChatMessage {
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

/** Whether a model has made it. */
export function isMade(item: PromptItem): boolean {
  return item.type === 'function_call' || (item.type === 'message' && item.role === 'assistant');
}
