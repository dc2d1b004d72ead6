/** The configured sources together: made from their settings, asked for their tools at once, closed at once. */

import type { McpBounds, McpServerSettings } from './mcp-settings.ts';
import { abortable } from './reconnecting.ts';
import {
  type ServerReport,
  type ServerRequests,
  type Tool,
  type ToolSource,
  ToolSourceError,
} from './tool-source.ts';

export interface ToolSources {
  /** In the order of the configuration. */
  readonly all: readonly ToolSource[];
  get(name: string): ToolSource | undefined;
  /**
   * The tools of these sources. Those that were read before are there at once; for those that never were there is one
   * wait together, of at most `patienceMs`. Whoever has nothing by then is told of and goes on trying: one dead server
   * costs that wait while it is being tried, and nothing while it rests. Rejects only with the signal's reason.
   */
  list(sources: readonly ToolSource[], options: ListOptions): Promise<ListedTools>;
  /** Closes all at once. Never rejects. */
  close(): Promise<void>;
}

export interface ListOptions {
  readonly patienceMs: number;
  readonly signal?: AbortSignal;
}

export interface ListedTools {
  /** In the order of the sources, and of each one's list. */
  readonly tools: readonly { readonly source: ToolSource; readonly tool: Tool }[];
  /** Those whose tools are not known, and why. */
  readonly missing: readonly { readonly source: ToolSource; readonly error: ToolSourceError }[];
}

export interface OpenToolSourcesOptions {
  readonly servers: readonly McpServerSettings[];
  /** Parley's, told to servers. */
  readonly version: string;
  /** What the server of that name may ask for; left out, nothing. */
  readonly requestsOf?: (server: string) => ServerRequests;
  readonly onReport?: (report: ServerReport) => void;
  readonly bounds?: McpBounds;
}

/** The sources of the configuration. Connects to none but the eager ones, and waits for none. */
export async function openToolSources({
  servers,
  requestsOf,
  ...rest
}: OpenToolSourcesOptions): Promise<ToolSources> {
  if (servers.length === 0) return createToolSources([]);
  // The driver costs a tenth of a second at start, and memory, that most servers need not have.
  const { createMcpSource } = await import('./mcp.ts');
  return createToolSources(
    servers.map((settings) =>
      createMcpSource({ settings, requests: requestsOf?.(settings.name) ?? {}, ...rest }),
    ),
  );
}

export function createToolSources(all: readonly ToolSource[]): ToolSources {
  const byName = new Map(all.map((source) => [source.name, source]));
  return {
    all,
    get: (name) => byName.get(name),
    list,
    async close() {
      await Promise.all(all.map((source) => source.close()));
    },
  };
}

async function list(
  sources: readonly ToolSource[],
  { patienceMs, signal }: ListOptions,
): Promise<ListedTools> {
  signal?.throwIfAborted();
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), patienceMs);
  const ends = signal === undefined ? clock.signal : AbortSignal.any([clock.signal, signal]);
  try {
    const answers = await Promise.all(sources.map((source) => listOne(source, ends, signal)));
    signal?.throwIfAborted();
    return {
      tools: answers.flatMap(({ source, tools }) => tools.map((tool) => ({ source, tool }))),
      missing: answers.flatMap(({ source, error }) => (error === null ? [] : [{ source, error }])),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function listOne(source: ToolSource, ends: AbortSignal, signal?: AbortSignal) {
  try {
    return { source, tools: await abortable(source.list(ends), ends), error: null };
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    const isOwn = error instanceof ToolSourceError && error.kind !== 'cancelled';
    const told = isOwn ? error : new ToolSourceError('timeout', { source: source.name, cause: error });
    return { source, tools: [], error: told };
  }
}
