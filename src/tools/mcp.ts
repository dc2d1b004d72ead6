/**
 * A tool source on the Model Context Protocol. Imports the driver, and so is imported only when a server is configured.
 */

import type { CallToolResult } from '@modelcontextprotocol/client';
import { createAskedDuringCalls } from './asked-during.ts';
import { createCallSlots } from './call-slots.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import { httpCredentials } from './http-transport.ts';
import { listenForChanges, tellsOfChanges } from './mcp-changes.ts';
import { type McpClient, openMcpClient } from './mcp-client.ts';
import { failureOf, sourceError } from './mcp-failure.ts';
import { readTools } from './mcp-list.ts';
import { toolResult } from './mcp-result.ts';
import { defaultBounds, type McpBounds, type McpServerSettings } from './mcp-settings.ts';
import { createReconnecting } from './reconnecting.ts';
import { createToolList } from './tool-list.ts';
import { passesFilter } from './tool-patterns.ts';
import {
  type CallOptions,
  type ServerReport,
  type ServerRequests,
  type ToolResult,
  type ToolSource,
  ToolSourceError,
  type ToolSourceErrorDetails,
  type ToolSourceFailure,
} from './tool-source.ts';

export interface McpSourceOptions {
  readonly settings: McpServerSettings;
  /** Parley's, told to servers. */
  readonly version: string;
  /** What servers may ask for; by default nothing. */
  readonly requests?: ServerRequests;
  /** Takes what servers report beside their answers. */
  readonly onReport?: (report: ServerReport) => void;
  readonly bounds?: McpBounds;
}

/** The longest time of a timer. The driver has one for each request; calls have their own clock. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

const REPORT_LENGTH = 2000;

/** The source; nothing is connected to before it is needed, unless the settings are `eager`. */
export function createMcpSource(options: McpSourceOptions): ToolSource {
  const { settings, version, requests = {}, onReport, bounds = defaultBounds } = options;
  const { name, filter } = settings;
  const asked = createAskedDuringCalls();
  const slots = createCallSlots(settings.maxConcurrent);
  const ending = new AbortController();
  /** Clients whose end has a reason that they do not know of. */
  let tooLarge = false;
  let instructions: string | null = null;
  /** Ends what goes on beside the calls of a connection. */
  const watches = new WeakMap<McpClient, AbortController>();

  const { fetch, close: closeFetch } = createGuardedFetch({ ...bounds, onTooLarge });
  const credentials = settings.reach.kind === 'http' ? httpCredentials(settings.reach) : undefined;

  const opening = {
    settings,
    bounds,
    version,
    requests,
    asked,
    fetch,
    credentials,
    report,
    onTooLarge,
    onToolsChanged: () => list.changed(),
  };
  const connection = createReconnecting<McpClient>({
    ...bounds,
    // The call that happens to be first has no part in what comes on the connection.
    open: (signal) => asked.outside(() => open(signal)),
    release: async (client) => {
      watches.get(client)?.abort();
      await client.close();
    },
    rest: (cause, retryAfterMilliseconds) => {
      const kind = cause instanceof ToolSourceError ? cause.kind : 'unavailable';
      return failed(kind, { cause, retryAfterMilliseconds });
    },
    closed: () => failed('unavailable'),
  });
  const list = createToolList({ read, pauseMs: bounds.relistPauseMs });
  // It is tried again when it is needed.
  if (settings.eager) list.get().catch(() => undefined);

  return {
    name,
    async list(signal) {
      try {
        return await list.get(signal);
      } catch (error) {
        if (signal?.aborted === true) throw failed('cancelled', { cause: signal.reason });
        throw error;
      }
    },
    call,
    instructions: () => instructions,
    async close() {
      ending.abort();
      list.close();
      await connection.close();
      await closeFetch();
    },
  };

  async function open(signal: AbortSignal): Promise<McpClient> {
    const client = await openMcpClient(
      {
        ...opening,
        onClosed: (closed) => {
          if (connection.current()?.client === closed) connection.lost(client);
        },
      },
      signal,
    );
    instructions = client.client.getInstructions() ?? null;
    const watch = new AbortController();
    watches.set(client, watch);
    if (client.stateless && tellsOfChanges(client.client)) {
      void listenForChanges(client.client, {
        ...bounds,
        signal: watch.signal,
        timeoutMs: bounds.connectTimeoutMs,
        onMissed: () => list.changed(),
      });
    }
    // What was known may be of a server before it was replaced.
    list.changed();
    return client;
  }

  async function read() {
    for (let again = true; ; again = false) {
      const client = await connection.ready(ending.signal);
      try {
        return await readTools(client.client, { ...bounds, filter, report });
      } catch (error) {
        const failure = failureOf(error, client.hasSession());
        if (failure.lost) connection.lost(client);
        if (!failure.lost || !again) throw sourceError(name, { ...failure, mayHaveRun: false }, error);
      }
    }
  }

  async function call(
    tool: string,
    args: Readonly<Record<string, unknown>>,
    given: CallOptions = {},
  ): Promise<ToolResult> {
    if (!passesFilter(tool, filter)) throw failed('not_offered');
    const { signal } = given;
    const release = await slots.take(signal).catch((error) => {
      throw failed('cancelled', { cause: error });
    });
    const clock = AbortSignal.timeout(settings.timeoutMs);
    const ends = AbortSignal.any([clock, ...(signal === undefined ? [] : [signal])]);
    const outOfTime = (mayHaveRun: boolean) => {
      const kind = signal?.aborted === true ? 'cancelled' : 'timeout';
      return failed(kind, { mayHaveRun, cause: ends.reason });
    };
    try {
      for (let again = true; ; again = false) {
        const client = await connection.ready(ends).catch((error) => {
          throw ends.aborted ? outOfTime(!again) : error;
        });
        try {
          return await asked.run(given.context, () => send(client, tool, args, given, ends));
        } catch (error) {
          if (ends.aborted) throw outOfTime(true);
          const failure = failureOf(error, client.hasSession());
          if (failure.lost) connection.lost(client);
          if (failure.mayHaveRun || !failure.lost || !again) throw told(failure, error);
        }
      }
    } finally {
      release();
    }
  }

  async function send(
    { client, meta }: McpClient,
    tool: string,
    args: Readonly<Record<string, unknown>>,
    { onProgress }: CallOptions,
    signal: AbortSignal,
  ): Promise<ToolResult> {
    tooLarge = false;
    let running = true;
    try {
      const result: CallToolResult = await client.callTool(
        {
          name: tool,
          arguments: { ...args },
          ...(Object.keys(meta).length === 0 ? {} : { _meta: { ...meta } }),
        },
        {
          signal,
          timeout: NO_TIMEOUT_MS,
          ...(onProgress === undefined
            ? {}
            : {
                onprogress: ({ progress, total = null, message = null }) => {
                  if (running) onProgress({ progress, total, message });
                },
              }),
        },
      );
      return toolResult(result);
    } finally {
      running = false;
    }
  }

  /** A connection that was cut because of what came over it does not say so. */
  function told(failure: ReturnType<typeof failureOf>, cause: unknown): ToolSourceError {
    const kind = failure.kind === 'interrupted' && tooLarge ? 'bad_answer' : failure.kind;
    return sourceError(name, { ...failure, kind }, cause);
  }

  function onTooLarge(): void {
    tooLarge = true;
    report('warning', `sent a message of more than ${bounds.messageMaxBytes} bytes`);
  }

  function report(level: ServerReport['level'], text: string): void {
    onReport?.({ source: name, level, text: text.slice(0, REPORT_LENGTH).toWellFormed() });
  }

  function failed(
    kind: ToolSourceFailure,
    details: Omit<ToolSourceErrorDetails, 'source'> = {},
  ): ToolSourceError {
    return new ToolSourceError(kind, { source: name, ...details });
  }
}
