/**
 * The way to one server, for all calls: its connection, made when it is needed and made again, and what goes on beside
 * the calls. One that is lost is let go of when the calls that it still carries have ended.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { createAskedDuringCalls } from './asked-during.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import { httpCredentials } from './http-transport.ts';
import { listenForChanges, tellsOfChanges } from './mcp-changes.ts';
import { type McpClient, openMcpClient } from './mcp-client.ts';
import type { McpBounds, McpServerSettings } from './mcp-settings.ts';
import { createReconnecting } from './reconnecting.ts';
import { type ServerReport, type ServerRequests, ToolSourceError } from './tool-source.ts';

export interface McpLink {
  /** The connection. Rejects with `ToolSourceError`, or with the signal's reason, which ends this wait alone. */
  ready(signal?: AbortSignal): Promise<McpClient>;
  /** Says that the connection is of no use for further calls. */
  lost(client: McpClient): void;
  /** Runs a call over the connection; what the server asks for in its course is asked in this context. */
  carry<Value>(client: McpClient, context: unknown, call: () => Promise<Value>): Promise<Value>;
  /** What the server has said of itself last. */
  instructions(): string | null;
  /** How many messages were longer than is taken, so far. */
  tooLong(): number;
  report(level: ServerReport['level'], text: string): void;
  /** Ends the connection, whatever it carries. */
  close(): Promise<void>;
}

export interface McpLinkOptions {
  readonly settings: McpServerSettings;
  /** Parley's, told to servers. */
  readonly version: string;
  readonly requests: ServerRequests;
  readonly bounds: McpBounds;
  onReport?: ((report: ServerReport) => void) | undefined;
  onToolsChanged(): void;
}

const REPORT_LENGTH = 2000;

/** What a connection carries, and what ends with it. */
interface Carried {
  readonly calls: Set<Promise<unknown>>;
  readonly watching: AbortController;
}

export function createMcpLink(options: McpLinkOptions): McpLink {
  const { settings, bounds, onReport, onToolsChanged } = options;
  const { name: source, reach } = settings;
  const ending = new AbortController();
  const carried = new WeakMap<McpClient, Carried>();
  const asked = createAskedDuringCalls();
  let instructions: string | null = null;
  let tooLong = 0;

  const onTooLarge = () => {
    tooLong += 1;
    report('warning', `sent a message of more than ${bounds.messageMaxBytes} bytes`);
  };
  const { fetch, close: closeFetch } = createGuardedFetch({ ...bounds, onTooLarge });
  const credentials = reach.kind === 'http' ? httpCredentials(reach) : undefined;
  const connection = createReconnecting<McpClient>({
    ...bounds,
    // The call that happens to be first has no part in what comes on the connection.
    open: (signal) => asked.outside(() => open(signal)),
    release,
    rest(cause, retryAfterMilliseconds) {
      const kind = cause instanceof ToolSourceError ? cause.kind : 'unavailable';
      return new ToolSourceError(kind, { source, cause, retryAfterMilliseconds });
    },
    closed: () => new ToolSourceError('unavailable', { source }),
  });

  return {
    ready: connection.ready,
    lost: connection.lost,
    carry,
    instructions: () => instructions,
    tooLong: () => tooLong,
    report,
    async close() {
      ending.abort();
      await connection.close();
      await closeFetch();
    },
  };

  async function open(signal: AbortSignal): Promise<McpClient> {
    const onClosed: (closed: unknown) => void = (closed) => {
      const current = connection.current();
      if (current !== null && current.client === closed) connection.lost(current);
    };
    const client = await openMcpClient(
      { ...options, asked, fetch, credentials, report, onTooLarge, onClosed },
      signal,
    );
    instructions = client.client.getInstructions() ?? null;
    const watching = new AbortController();
    carried.set(client, { calls: new Set(), watching });
    if (client.stateless && tellsOfChanges(client.client)) {
      void listenForChanges(client.client, {
        ...bounds,
        signal: watching.signal,
        timeoutMs: bounds.connectTimeoutMs,
        onMissed: onToolsChanged,
      });
    }
    // What was known may be of a server that this one has replaced.
    onToolsChanged();
    return client;
  }

  async function release(client: McpClient): Promise<void> {
    const { calls = new Set<Promise<unknown>>(), watching } = carried.get(client) ?? {};
    watching?.abort();
    const ended = Promise.allSettled(calls);
    // What a call runs into is no reason to cut off the others.
    const closing = pause(2 ** 31 - 1, undefined, { signal: ending.signal, ref: false }).catch(
      () => undefined,
    );
    await Promise.race([ended, closing]);
    await client.close();
  }

  async function carry<Value>(
    client: McpClient,
    context: unknown,
    call: () => Promise<Value>,
  ): Promise<Value> {
    const running = asked.run(context, call);
    const calls = carried.get(client)?.calls;
    calls?.add(running);
    try {
      return await running;
    } finally {
      calls?.delete(running);
    }
  }

  function report(level: ServerReport['level'], text: string): void {
    onReport?.({ source, level, text: text.slice(0, REPORT_LENGTH).toWellFormed() });
  }
}
