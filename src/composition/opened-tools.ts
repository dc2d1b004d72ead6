/** The tools of the configuration: their sources, and which of them sessions may use. */

import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from 'pino';
import type { McpServerConfig } from '../config/mcp-server-list.ts';
import type { Config } from '../config/schema.ts';
import type { McpServerSettings } from '../tools/mcp-settings.ts';
import type {
  AskedDuring,
  CallContext,
  ServerReport,
  ServerRequests,
  ToolSource,
} from '../tools/tool-source.ts';
import { createToolSources, openToolSources, type ToolSources } from '../tools/tool-sources.ts';
import { createToolboxes, type Toolboxes, type ToolPolicy, type ToolRegister } from '../tools/toolbox.ts';

export interface OpenedTools {
  /** With all that they have. */
  sources: ToolSources;
  /** Without the tools that answer turns: those are asked by nobody within one. */
  toolboxes(register: ToolRegister): Toolboxes;
  policyOf(server: string): ToolPolicy;
  /** Null where there is nothing to close. */
  close: (() => Promise<void>) | null;
}

/** Every tool of every server: whoever configures one wants it used. */
const ALL = ['*'];

const UNKNOWN: ToolPolicy = { trust: false, requireApproval: ['*'], instructions: false };

/** Connects to those that are to be connected to at the start, and waits for none. */
export async function openTools(
  config: Pick<Config, 'mcpServers' | 'toolResultMaxBytes'>,
  version: string,
  log: Logger,
): Promise<OpenedTools> {
  const { mcpServers: servers, toolResultMaxBytes: resultMaxBytes } = config;
  const onReport = ({ source, level, text }: ServerReport) =>
    log[levelOf(level)]({ server: source, text }, 'tool server');
  const requests = new Map(servers.map((server) => [server.name, requestsOf(server)]));
  const sources = await openToolSources({
    servers: servers.map(settingsOf),
    version,
    onReport,
    requestsOf: (name) => requests.get(name) ?? {},
  });
  const chatTools = new Map(servers.map(({ name, chat }) => [name, chat?.tool]));
  const offering = createToolSources(
    sources.all.map((source) => withoutTool(source, chatTools.get(source.name))),
  );
  const policyOf = (name: string) => servers.find((server) => server.name === name) ?? UNKNOWN;
  const toolboxes = (register: ToolRegister) =>
    createToolboxes({ sources: offering, policyOf, defaultChoice: ALL, resultMaxBytes, register });
  return { sources, toolboxes, policyOf, close: servers.length === 0 ? null : () => sources.close() };
}

/** What a server may ask in the course of a call is answered by whoever has made it; where that cannot be told, by no. */
function requestsOf({ sampling, roots }: McpServerConfig): ServerRequests {
  return {
    elicit: async (params, { context, signal }) =>
      isCallContext(context) ? context.elicit(params, signal) : { action: 'decline' },
    ...(sampling ? { sample } : {}),
    ...(roots.length === 0 ? {} : { roots: roots.map(rootOf) }),
  };
}

async function sample(
  params: Readonly<Record<string, unknown>>,
  { context, signal }: AskedDuring,
): Promise<Record<string, unknown>> {
  if (!isCallContext(context)) throw new Error('nobody knows in whose name it is asked');
  return context.sample(params, signal);
}

function isCallContext(context: unknown): context is CallContext {
  return typeof context === 'object' && context !== null && 'sample' in context && 'elicit' in context;
}

function rootOf(root: string): { uri: string; name: string } {
  const uri = root.startsWith('file:') ? root : pathToFileURL(root).href;
  return { uri, name: basename(root) };
}

/** The same source, which lists all tools but this. */
function withoutTool(source: ToolSource, hidden: string | undefined): ToolSource {
  if (hidden === undefined) return source;
  return {
    ...source,
    list: async (signal) => (await source.list(signal)).filter(({ name }) => name !== hidden),
  };
}

function settingsOf({
  name,
  reach,
  tools,
  timeoutSeconds,
  maxConcurrent,
  eager,
  chat,
}: McpServerConfig): McpServerSettings {
  const filter = { ...tools, always: chat?.tool ?? null };
  return { name, reach, filter, timeoutMs: timeoutSeconds * 1000, maxConcurrent, eager };
}

function levelOf(level: ServerReport['level']): 'debug' | 'info' | 'warn' | 'error' {
  return level === 'warning' ? 'warn' : level;
}
