/**
 * The tools that one turn may use: those of the sources that its session chooses, as functions that a model can call. It
 * is made when the turn begins and does not change while it runs, so that neither does the beginning of its prompts.
 */

import type { ToolChoice } from '../conversation/session.ts';
import { boundedResult } from './result-size.ts';
import { toolFingerprint } from './tool-fingerprint.ts';
import { modelToolName } from './tool-names.ts';
import { choosesServer, choosesTool, matchesPattern } from './tool-patterns.ts';
import type { CallOptions, Tool, ToolResult, ToolSource } from './tool-source.ts';
import type { ListedTools, ToolSources } from './tool-sources.ts';

export interface Toolbox {
  /** In the words of Chat Completions; the same for the same tools. */
  readonly functions: readonly ToolFunction[];
  /** The tool that a model means; undefined if it is none of these. */
  find(functionName: string): OfferedTool | undefined;
  /** What servers say of themselves to models, where the operator lets them; null if nothing. */
  readonly instructions: string | null;
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
  /** Whether somebody has to approve the call before it is run. */
  readonly needsApproval: boolean;
  /** As `ToolSource.call`, with a result that is not too long to be kept. */
  call(args: Readonly<Record<string, unknown>>, options: CallOptions): Promise<ToolResult>;
}

export interface Toolboxes {
  /**
   * Opens what the choice has, as far as it is known or found out in a moment: a source that is away is left out.
   * Rejects with the signal's reason alone.
   * @param choice null = the configuration's
   * @param requireApproval patterns, as in a choice, of tools whose calls have to be approved beside those that the operator
   * wants approved
   */
  open(choice: ToolChoice | null, signal: AbortSignal, requireApproval?: readonly string[]): Promise<Toolbox>;
  /** All that sessions may choose, and the sources whose tools are not known at the moment. Rejects as `open` does. */
  list(signal: AbortSignal): Promise<ListedTools>;
}

/** How far the operator trusts a source. */
export interface ToolPolicy {
  /** Whether a tool is offered although it is no longer what was accepted. */
  trust: boolean;
  /** Patterns of tools whose calls somebody has to approve. */
  requireApproval: readonly string[];
  /** Whether models are told what the source says of itself. */
  instructions: boolean;
}

export interface ToolboxesOptions {
  sources: Pick<ToolSources, 'all' | 'list'>;
  policyOf(source: string): ToolPolicy;
  /** For sessions that do not choose. */
  defaultChoice: ToolChoice;
  /** Of the text of a result, and of its parts together. */
  resultMaxBytes: number;
  register: ToolRegister;
}

/** Knows what was accepted of tools. */
export interface ToolRegister {
  /** Of each tool, in their order, whether it is what was accepted. Never rejects. */
  judge(seen: readonly SeenTool[]): Promise<readonly boolean[]>;
}

/** A tool as its server describes it, with a fingerprint of that. */
export interface SeenTool extends Pick<Tool, 'name' | 'description' | 'inputSchema'> {
  server: string;
  fingerprint: string;
}

/** How long a turn waits for lists of tools that were never read, all together. */
const PATIENCE_MILLISECONDS = 3000;

const EMPTY: Toolbox = { functions: [], find: () => undefined, instructions: null };

export function createToolboxes(options: ToolboxesOptions): Toolboxes {
  const { sources, policyOf, defaultChoice, resultMaxBytes, register } = options;
  /** Lists are kept, and so are their tools. */
  const fingerprints = new WeakMap<Tool, string>();
  return { open, list: (signal) => offeredOf(sources.all, signal) };

  async function open(
    choice: ToolChoice | null,
    signal: AbortSignal,
    requireApproval: readonly string[] = [],
  ): Promise<Toolbox> {
    const chosen = choice ?? defaultChoice;
    const asked = sources.all.filter(({ name }) => choosesServer(name, chosen));
    if (asked.length === 0) return EMPTY;
    const { tools } = await offeredOf(asked, signal);
    const offered = tools.filter(({ source, tool }) => choosesTool(source.name, tool.name, chosen));
    const byName = new Map(
      offered.map(({ source, tool }) => [modelToolName(source.name, tool.name), { source, tool }]),
    );
    return {
      functions: [...byName].map(([name, { source, tool }]) => functionOf(name, source, tool)),
      find(functionName) {
        const found = byName.get(functionName);
        return found && offeredTool(found.source, found.tool, requireApproval);
      },
      instructions: instructionsOf(asked),
    };
  }

  async function offeredOf(asked: readonly ToolSource[], signal: AbortSignal): Promise<ListedTools> {
    const listed = await sources.list(asked, { patienceMs: PATIENCE_MILLISECONDS, signal });
    return { ...listed, tools: await acceptedOf(listed.tools) };
  }

  /** A description that changes behind the operator's back can tell a model anything. */
  async function acceptedOf(tools: ListedTools['tools']): Promise<ListedTools['tools']> {
    const doubted = tools.filter(({ source }) => !policyOf(source.name).trust);
    const seen = doubted.map(({ source, tool }) => seenTool(source.name, tool));
    const accepted = seen.length === 0 ? [] : await register.judge(seen);
    const refused = new Set(doubted.filter((_, index) => accepted[index] !== true));
    return refused.size === 0 ? tools : tools.filter((one) => !refused.has(one));
  }

  function seenTool(server: string, tool: Tool): SeenTool {
    const fingerprint = fingerprints.get(tool) ?? toolFingerprint(tool);
    fingerprints.set(tool, fingerprint);
    const { name, description, inputSchema } = tool;
    return { server, name, description, inputSchema, fingerprint };
  }

  function instructionsOf(asked: readonly ToolSource[]): string | null {
    const told = asked.flatMap((source) => {
      const text = policyOf(source.name).instructions ? source.instructions() : null;
      return text === null || text.trim() === '' ? [] : [`Of the tools of ${source.name}:\n${text.trim()}`];
    });
    return told.length === 0 ? null : told.join('\n\n');
  }

  function offeredTool(source: ToolSource, { name }: Tool, requested: readonly string[]): OfferedTool {
    const wanted = policyOf(source.name).requireApproval.some((pattern) => matchesPattern(name, pattern));
    return {
      server: source.name,
      name,
      needsApproval: wanted || choosesTool(source.name, name, requested),
      call: async (args, options) => boundedResult(await source.call(name, args, options), resultMaxBytes),
    };
  }
}

function functionOf(name: string, source: ToolSource, tool: Tool): ToolFunction {
  const description = tool.description ?? tool.title ?? `${tool.name} of ${source.name}`;
  return { type: 'function', function: { name, description, parameters: tool.inputSchema } };
}
