/** From a prompt to the messages of Chat Completions, whoever is sent them. */

import {
  assistantMessage,
  type ChatMessage,
  chatMessage,
  isMade,
  itemsOfMessages,
} from '../../conversation/chat-message.ts';
import type { Continuation, Prompt } from '../provider.ts';

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
  const groups = itemsOfMessages(items);
  const instructed: ChatMessage[] = instructions === null ? [] : [{ role: 'system', content: instructions }];
  const { continueFrom } = prompt;
  if (continuation === 'none' || continueFrom === null) return [...instructed, ...groups.map(chatMessage)];
  // What the model has made since the last input is one answer, and so is what it is to go on with.
  const answer = groups.at(-1)?.every(isMade) === true ? (groups.pop() ?? []) : [];
  const messages = [...instructed, ...groups.map(chatMessage), assistantMessage(answer, continueFrom)];
  return continuation === 'instruct' ? [...messages, { role: 'user', content: GO_ON }] : messages;
}
