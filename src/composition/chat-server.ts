/** A tool source as the server of a chat provider: the same connection, and failures in the words of providers. */

import type { ChatServer } from '../providers/mcp-chat.ts';
import { ProviderError, type ProviderFailure } from '../providers/provider.ts';
import { type ToolSource, ToolSourceError, type ToolSourceFailure } from '../tools/tool-source.ts';

/** What each failure of a source is to the failure table. */
const FAILURES: Readonly<Record<ToolSourceFailure, ProviderFailure>> = {
  unavailable: 'unreachable',
  unauthorized: 'unauthorized',
  not_offered: 'model_not_found',
  // Calls have the clocks of their turn: what is left is making the connection.
  timeout: 'timeout',
  cancelled: 'interrupted',
  refused: 'server_error',
  bad_answer: 'invalid_answer',
  interrupted: 'interrupted',
};

/** @param mayAnswer whether a tool of this name may answer turns */
export function chatServer(source: ToolSource, mayAnswer: (tool: string) => boolean): ChatServer {
  return {
    async offers(tool, signal) {
      if (!mayAnswer(tool)) return false;
      const tools = await source.list(signal).catch(fail);
      return tools.some(({ name }) => name === tool);
    },
    async call(tool, args, signal) {
      const result = await source.call(tool, args, { signal, ownClock: true }).catch(fail);
      // A source makes a text of data where there is none.
      return { ...result, text: result.content.length === 0 ? '' : result.text };
    },
  };
}

function fail(cause: unknown): never {
  if (!(cause instanceof ToolSourceError)) throw cause;
  const kind = FAILURES[cause.kind];
  throw new ProviderError(kind, { cause, clock: kind === 'timeout' ? 'connect' : undefined });
}
