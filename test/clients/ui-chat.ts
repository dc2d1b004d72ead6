/** The AI SDK's chat as `useChat` drives it, without a page: the same class, with a state of its own. */

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { AbstractChat, type ChatInit, DefaultChatTransport, type UIMessage } from 'ai';

export interface UiChat {
  chat: AbstractChat<UIMessage>;
  /** Errors that were told, oldest first. */
  errors: Error[];
  /** The calls of the client's own tools that were handed over. */
  calls: { toolCallId: string; toolName: string; input: unknown }[];
  /** What the last message says. */
  text(): string;
}

export interface UiChatOptions extends Pick<ChatInit<UIMessage>, 'messages' | 'sendAutomaticallyWhen'> {
  /** Sent with each request, beside the messages. */
  body?: object;
  fetch?: typeof fetch;
}

class Chat extends AbstractChat<UIMessage> {}

/** A chat over the session, as a page would make it that knows nothing but the URL. */
export function openUiChat(url: string, sessionId: string, options: UiChatOptions = {}): UiChat {
  const { messages = [], body = {}, fetch: fetching = fetch, ...more } = options;
  const errors: Error[] = [];
  const calls: UiChat['calls'] = [];
  const chat = new Chat({
    id: sessionId,
    transport: new DefaultChatTransport({ api: `${url}/ui/${sessionId}/chat`, body, fetch: fetching }),
    state: stateOf(messages),
    onError: (error) => errors.push(error),
    onToolCall: ({ toolCall: { toolCallId, toolName, input } }) => {
      calls.push({ toolCallId, toolName, input });
    },
    ...more,
  });
  return { chat, errors, calls, text: () => textOf(chat.lastMessage) };
}

export function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
}

/** What of the messages a client and the server must agree about. */
export function plain(messages: readonly UIMessage[]): any[] {
  return messages.map(({ id, role, parts }) => JSON.parse(JSON.stringify({ id, role, parts })));
}

/** Waits until it is so; fails if it never is. */
export async function reached(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries += 1) {
    if (tries === 500) assert.fail(`never so: ${isSo.toString()}`);
    await pause(10);
  }
}

function stateOf(messages: UIMessage[]) {
  return {
    status: 'ready' as const,
    error: undefined,
    messages: [...messages],
    pushMessage(message: UIMessage) {
      this.messages = [...this.messages, message];
    },
    popMessage() {
      this.messages = this.messages.slice(0, -1);
    },
    replaceMessage(index: number, message: UIMessage) {
      this.messages = this.messages.with(index, structuredClone(message));
    },
    snapshot: <Thing>(thing: Thing) => structuredClone(thing),
  };
}
