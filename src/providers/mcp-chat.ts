/**
 * A provider that is a tool of a server: it is given the transcript as `{messages, options}`, in the words of Chat
 * Completions, and its result is the answer. Its models are the server's tools. How the server is reached is for others.
 */

import { type ChatToolResult, createChatToolReader } from './mcp-chat-answer.ts';
import { chatMessages } from './openai-compatible/chat-messages.ts';
import { type Prompt, type Provider, ProviderError, type ProviderEvent } from './provider.ts';

/** The server, as far as it answers. */
export interface ChatServer {
  /**
   * Whether it has a tool of this name that the configuration lets answer. Rejects with `ProviderError` if that cannot
   * be found out, and when the signal aborts.
   */
  offers(tool: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Runs the tool, with the signal as its only clock. Rejects with `ProviderError` where there is no result, and when the
   * signal aborts, of which the server is told.
   */
  call(tool: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ChatToolResult>;
}

export interface McpChatSettings {
  name: string;
  /** The tool for prompts that name none. */
  tool: string;
  /** Tokens that this tool takes. */
  contextTokens: number | null;
  server: ChatServer;
  /** What is blanked in what the tool says of its failures. */
  secrets: readonly string[];
}

/** A provider on these settings. The connection is the server's, and stays when the provider closes. */
export function createMcpChat({ name, tool, contextTokens, server, secrets }: McpChatSettings): Provider {
  const closing = new AbortController();
  const read = createChatToolReader(secrets);
  return {
    name,
    defaultModel: tool,
    models: [tool],
    modelsHaveSlashes: false,
    contextTokens,
    continuation: 'none',
    stream,
    async close() {
      closing.abort(new ProviderError('interrupted'));
    },
  };

  async function* stream(prompt: Prompt, signal: AbortSignal): AsyncGenerator<ProviderEvent> {
    const ends = AbortSignal.any([signal, closing.signal]);
    try {
      ends.throwIfAborted();
      for (const event of await answer(prompt, ends)) {
        ends.throwIfAborted();
        yield event;
      }
    } catch (error) {
      ends.throwIfAborted();
      throw error;
    }
  }

  async function answer(prompt: Prompt, ends: AbortSignal): Promise<readonly ProviderEvent[]> {
    const { tool_name: chosen, ...options } = prompt.options;
    if (chosen !== undefined && (typeof chosen !== 'string' || chosen === '')) {
      throw new ProviderError('bad_request', {
        providerMessage: 'options.tool_name must be the name of a tool',
      });
    }
    const asked = chosen ?? prompt.model;
    if (!(await server.offers(asked, ends))) {
      const providerMessage = `the server "${name}" has no tool of this name that may answer`;
      throw new ProviderError(chosen === undefined ? 'model_not_found' : 'bad_request', { providerMessage });
    }
    const messages = chatMessages(prompt, 'none');
    return read(await server.call(asked, { messages, options }, ends), asked);
  }
}
