/**
 * A tool source on the Model Context Protocol. Imports the driver, and so is imported only when a server is configured.
 */

import { createCallSlots } from './call-slots.ts';
import type { McpClient } from './mcp-client.ts';
import { failureOf, sourceError } from './mcp-failure.ts';
import { createMcpLink } from './mcp-link.ts';
import { readTools } from './mcp-list.ts';
import { toolResult } from './mcp-result.ts';
import { defaultBounds, type McpBounds, type McpServerSettings } from './mcp-settings.ts';
import { createToolList, type ReadTools } from './tool-list.ts';
import { passesFilter } from './tool-patterns.ts';
import {
  type CallOptions,
  type ServerReport,
  type ServerRequests,
  type ToolResult,
  type ToolSource,
  ToolSourceError,
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

type Arguments = Readonly<Record<string, unknown>>;

/** The source; nothing is connected to before it is needed, unless the settings are `eager`. */
export function createMcpSource(options: McpSourceOptions): ToolSource {
  const { settings, requests = {}, bounds = defaultBounds } = options;
  const { name, filter } = settings;
  const slots = createCallSlots(settings.maxConcurrent);
  const link = createMcpLink({ ...options, requests, bounds, onToolsChanged: () => list.changed() });
  const list = createToolList({ read, pauseMs: bounds.relistPauseMs });
  // If it fails, it is tried again when it is needed.
  if (settings.eager) list.get().catch(() => undefined);

  return {
    name,
    async list(signal) {
      try {
        return await list.get(signal);
      } catch (error) {
        if (signal?.aborted !== true) throw error;
        throw new ToolSourceError('cancelled', { source: name, cause: signal.reason });
      }
    },
    call,
    instructions: link.instructions,
    async close() {
      list.close();
      await link.close();
    },
  };

  async function read(): Promise<ReadTools> {
    for (let again = true; ; again = false) {
      const client = await link.ready();
      try {
        return await readTools(client.client, { ...bounds, filter, report: link.report });
      } catch (error) {
        const failure = failureOf(error, client.hasSession());
        if (failure.lost) link.lost(client);
        if (!failure.lost || !again) throw sourceError(name, { ...failure, mayHaveRun: false }, error);
      }
    }
  }

  async function call(tool: string, args: Arguments, given: CallOptions = {}): Promise<ToolResult> {
    if (!passesFilter(tool, filter)) throw new ToolSourceError('not_offered', { source: name });
    const { signal, ownClock = false } = given;
    const release = ownClock
      ? null
      : await slots.take(signal).catch((cause) => {
          throw new ToolSourceError('cancelled', { source: name, cause });
        });
    const clocks = ownClock ? [] : [AbortSignal.timeout(settings.timeoutMs)];
    const ends = AbortSignal.any(signal === undefined ? clocks : [...clocks, signal]);
    const ended = (mayHaveRun: boolean) => {
      const kind = signal?.aborted === true ? 'cancelled' : 'timeout';
      return new ToolSourceError(kind, { source: name, mayHaveRun, cause: ends.reason });
    };
    try {
      for (let again = true; ; again = false) {
        const client = await link.ready(ends).catch((error) => {
          throw ends.aborted ? ended(false) : error;
        });
        const tooLong = link.tooLong();
        try {
          return await link.carry(client, given.context, () => send(client, { tool, args, given, ends }));
        } catch (error) {
          if (ends.aborted) throw ended(true);
          const failure = failureOf(error, client.hasSession());
          if (failure.lost) link.lost(client);
          // A connection that was cut because of what came over it does not say so.
          if (failure.kind === 'interrupted' && link.tooLong() > tooLong) failure.kind = 'bad_answer';
          if (failure.mayHaveRun || !failure.lost || !again) throw sourceError(name, failure, error);
        }
      }
    } finally {
      release?.();
    }
  }
}

/** One call over one connection. Throws what the driver throws. */
async function send(
  { client, meta }: McpClient,
  request: { tool: string; args: Arguments; given: CallOptions; ends: AbortSignal },
): Promise<ToolResult> {
  const { tool, args, given, ends } = request;
  const { onProgress } = given;
  let running = true;
  const reporting = onProgress && {
    onprogress: ({ progress, total, message }: Reported) => {
      if (running) onProgress({ progress, total: total ?? null, message: message ?? null });
    },
  };
  try {
    const told = Object.keys(meta).length === 0 ? {} : { _meta: { ...meta } };
    const result = await client.callTool(
      { name: tool, arguments: { ...args }, ...told },
      { signal: ends, timeout: NO_TIMEOUT_MS, ...reporting },
    );
    return toolResult(result);
  } finally {
    running = false;
  }
}

interface Reported {
  progress: number;
  total?: number | undefined;
  message?: string | undefined;
}
