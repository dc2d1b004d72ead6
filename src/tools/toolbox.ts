/**
 * The tools that one turn may use: those of the sources that its session chooses, as functions that a model can call. It
 * is made when the turn begins and does not change while it runs, so that neither does the beginning of its prompts.
 */

import { boundedResult } from './result-size.ts';
import { modelToolName } from './tool-names.ts';
import { choosesServer, choosesTool, type ToolChoice } from './tool-patterns.ts';
import type { CallOptions, Tool, ToolResult, ToolSource } from './tool-source.ts';
import type { ListedTools, ToolSources } from './tool-sources.ts';

export interface Toolbox {
  /** In the words of Chat Completions; the same for the same tools. */
  readonly functions: readonly ToolFunction[];
  /** The tool that a model means; undefined if it is none of these. */
  find(functionName: string): OfferedTool | undefined;
}

export interface ToolFunction {
  type: 'function';
  function: { name: string; description: string; parameters: Readonly<Record<string, unknown>> };
}

export interface OfferedTool {
  /** Its source's name. */
  readonly server: string;
  /** As its source knows it. */
  readonly name: string;
  /** As `ToolSource.call`, with a result that is not too long to be kept. */
  call(args: Readonly<Record<string, unknown>>, options: CallOptions): Promise<ToolResult>;
}

export interface Toolboxes {
  /**
   * Opens what the choice has, as far as it is known or found out in a moment: a source that is away is left out.
   * Rejects with the signal's reason alone.
   * @param choice null = the configuration's
   */
  open(choice: ToolChoice | null, signal: AbortSignal): Promise<Toolbox>;
  /** All that sessions may choose, and the sources whose tools are not known at the moment. Rejects as `open` does. */
  list(signal: AbortSignal): Promise<ListedTools>;
}

export interface ToolboxesOptions {
  sources: Pick<ToolSources, 'all' | 'list'>;
  /** For sessions that do not choose. */
  defaultChoice: ToolChoice;
  /** Of the text of a result, and of its parts together. */
  resultMaxBytes: number;
}

/** How long a turn waits for lists of tools that were never read, all together. */
const PATIENCE_MILLISECONDS = 3000;

const EMPTY: Toolbox = { functions: [], find: () => undefined };

export function createToolboxes({ sources, defaultChoice, resultMaxBytes }: ToolboxesOptions): Toolboxes {
  return { open, list: (signal) => sources.list(sources.all, { patienceMs: PATIENCE_MILLISECONDS, signal }) };

  async function open(choice: ToolChoice | null, signal: AbortSignal): Promise<Toolbox> {
    const chosen = choice ?? defaultChoice;
    const asked = sources.all.filter(({ name }) => choosesServer(name, chosen));
    if (asked.length === 0) return EMPTY;
    const { tools } = await sources.list(asked, { patienceMs: PATIENCE_MILLISECONDS, signal });
    const offered = tools.filter(({ source, tool }) => choosesTool(source.name, tool.name, chosen));
    const byName = new Map(offered.map(({ source, tool }) => [modelToolName(source.name, tool.name), { source, tool }]));
    return {
      functions: [...byName].map(([name, { source, tool }]) => functionOf(name, source, tool)),
      find(functionName) {
        const found = byName.get(functionName);
        return found && offeredTool(found.source, found.tool);
      },
    };
  }

  function offeredTool(source: ToolSource, { name }: Tool): OfferedTool {
    return {
      server: source.name,
      name,
      call: async (args, options) => boundedResult(await source.call(name, args, options), resultMaxBytes),
    };
  }
}

function functionOf(name: string, source: ToolSource, tool: Tool): ToolFunction {
  const description = tool.description ?? tool.title ?? `${tool.name} of ${source.name}`;
  return { type: 'function', function: { name, description, parameters: tool.inputSchema } };
}
