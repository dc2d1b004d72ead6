/** Reading the list of a server's tools: every page, within bounds, and what the configuration lets through. */

import type { Client, Tool as ListedTool } from '@modelcontextprotocol/client';
import { tellsOfChanges } from './mcp-changes.ts';
import type { McpBounds } from './mcp-settings.ts';
import type { ReadTools } from './tool-list.ts';
import { passesFilter, type ToolFilter } from './tool-patterns.ts';
import type { ServerReport, Tool } from './tool-source.ts';

interface ReadToolsOptions
  extends Pick<McpBounds, 'toolsMax' | 'toolMaxBytes' | 'relistAfterMs' | 'connectTimeoutMs'> {
  readonly filter: ToolFilter;
  report(level: ServerReport['level'], text: string): void;
}

/** Operators name tools in URLs, and stores find them by their names. The protocol recommends half of it. */
const NAME_MAX = 256;
/** Levels of a definition: what walks through one has a stack, and no schema of a tool comes near. */
const LEVELS_MAX = 200;

/** The tools that there are, and that may be used. Throws what the driver throws. */
export async function readTools(client: Client, options: ReadToolsOptions): Promise<ReadTools> {
  const { relistAfterMs, connectTimeoutMs } = options;
  // The driver says so itself, on the console.
  const hasTools = client.getServerCapabilities()?.tools !== undefined;
  const listed = hasTools
    ? await client.listTools(undefined, { cacheMode: 'refresh', timeout: connectTimeoutMs })
    : { tools: [] };
  const ttl = 'ttlMs' in listed && typeof listed.ttlMs === 'number' ? listed.ttlMs : relistAfterMs;
  // Nobody is asked for its list all the time, and nobody's is kept for ever, whatever the server says.
  const holdsMs = tellsOfChanges(client)
    ? Number.POSITIVE_INFINITY
    : Math.min(Math.max(ttl, 10_000), 86_400_000);
  return { tools: Object.freeze(usable(listed.tools, options)), holdsMs };
}

function usable(
  listed: readonly ListedTool[],
  { filter, toolsMax, toolMaxBytes, report }: ReadToolsOptions,
): Tool[] {
  const tools = new Map<string, Tool>();
  for (const tool of listed) {
    if (!passesFilter(tool.name, filter)) continue;
    const problem = problemOf(tool, tools, toolMaxBytes);
    if (problem !== undefined)
      report('warning', `the tool "${tool.name.slice(0, 100)}" is left out: ${problem}`);
    else if (tools.size < toolsMax) tools.set(tool.name, frozenTool(tool));
    else {
      report('warning', `has more than ${toolsMax} tools; those after them are left out`);
      break;
    }
  }
  return [...tools.values()];
}

function problemOf(tool: ListedTool, tools: ReadonlyMap<string, Tool>, maxBytes: number): string | undefined {
  if (tool.name === '') return 'it has no name';
  if (tool.name.length > NAME_MAX) return `its name has more than ${NAME_MAX} characters`;
  if (!tool.name.isWellFormed()) return 'its name has half a character';
  if (tools.has(tool.name)) return 'another one before it has the same name';
  const told = JSON.stringify([tool.name, tool.description, tool.inputSchema, tool.annotations]);
  if (Buffer.byteLength(told) > maxBytes) return `its description has more than ${maxBytes} bytes`;
  return isDeeper(tool.inputSchema, LEVELS_MAX) ? `its schema has more than ${LEVELS_MAX} levels` : undefined;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function frozenTool({ name, title, description, inputSchema, annotations }: ListedTool): Tool {
  return Object.freeze({
    name,
    title: title ?? annotations?.title ?? null,
    description: description ?? null,
    inputSchema,
    annotations: annotations ?? null,
  });
}
