/**
 * The YAML's `mcp_servers`, and the one server of `MCP_SERVER_URL`: checked entry by entry and field by field. Whether a
 * server is there, and may be connected to, shows when it is.
 */

import type { Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Problem } from './config-error.ts';
import {
  ALGORITHMS,
  approvalPatterns,
  CHAT_TOOL,
  MAX_CONCURRENT,
  mcpServerSchema,
  TIMEOUT_SECONDS,
} from './mcp-server-schema.ts';
import { RESERVED_NAMES } from './provider-list.ts';
import { isProviderName } from './setting.ts';
import type { Variables } from './variables.ts';
import { type EntryKind, type Report, readEntries } from './yaml-entries.ts';
import { isPlainObject, type YamlFile } from './yaml-file.ts';

/** A server that offers tools by the Model Context Protocol. */
export interface McpServerConfig {
  /** In lower case, unique, without dots. */
  readonly name: string;
  readonly reach: McpUrlConfig | McpProgramConfig;
  /** Null lets every tool through that `deny` does not keep out. */
  readonly tools: { readonly allow: readonly string[] | null; readonly deny: readonly string[] };
  readonly timeoutSeconds: number;
  readonly maxConcurrent: number;
  /** Whether what the server says of itself is told to models. */
  readonly instructions: boolean;
  readonly eager: boolean;
  /** Whether tools that have changed since they were first seen are offered all the same. */
  readonly trust: boolean;
  /** Patterns of the tools whose calls wait for somebody's approval. */
  readonly requireApproval: readonly string[];
  /** Of a server that is a provider as well: which of its tools answers, and how many tokens that takes. */
  /** Whether its tools may ask the turn's model something. */
  readonly sampling: boolean;
  /** Directories that it is told of: absolute paths, or `file:` URIs. */
  readonly roots: readonly string[];
  readonly chat: McpChatConfig | null;
}

export interface McpChatConfig {
  readonly tool: string;
  readonly contextTokens: number | null;
}

export interface McpUrlConfig {
  readonly kind: 'http';
  readonly url: string;
  /** May hold secrets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly apiKey: string | null;
  readonly oauth: McpOauthConfig | null;
}

export interface McpOauthConfig {
  readonly clientId: string;
  readonly proof:
    | { readonly kind: 'secret'; readonly secret: string }
    | { readonly kind: 'private-key'; readonly pem: string; readonly algorithm: string };
  readonly issuer: string;
  readonly scope: string | null;
}

export interface McpProgramConfig {
  readonly kind: 'program';
  readonly command: string;
  /** May hold secrets. */
  readonly args: readonly string[];
  /** The whole environment; may hold secrets. */
  readonly env: Readonly<Record<string, string>>;
}

/** What the server of `MCP_SERVER_URL` is called. */
const SERVER_OF_VARIABLE = 'mcp';

export interface McpServerList {
  readonly servers: readonly McpServerConfig[];
  /** The names of all entries, those with problems elsewhere included. */
  readonly names: readonly string[];
  /** Those of them that are providers as well. */
  readonly providers: readonly string[];
  /** False if an entry has no usable name, so that a name missing here may have been meant. */
  readonly complete: boolean;
}

type Entry = Static<typeof mcpServerSchema>;

const serverKind: EntryKind = { schema: mcpServerSchema, noun: 'a server', nameField: 'name' };

/**
 * Reads the servers, that of `MCP_SERVER_URL` first, and reports every problem of every entry.
 *
 * @param sources `isAsked`: whether something names a provider that only a server can be; `providers`: the names of the
 * YAML's other providers
 */
export function readMcpServerList(
  sources: {
    file: YamlFile;
    variables: Variables;
    values: { readonly mcpServerUrl: string | null; readonly mcpApiKey: string | null };
    /** Where those values came from; none for those that nobody has set. */
    origins: ReadonlyMap<string, string>;
    providers: readonly string[];
    isAsked(name: string): boolean;
  },
  problems: Problem[],
): McpServerList {
  const { file, variables, values, origins } = sources;
  const report: Report = (setting, problem) => problems.push({ setting, source: file.source, problem });
  const servers: McpServerConfig[] = [];
  const providers: string[] = [];
  const keySource = origins.get('MCP_API_KEY');
  if (origins.has('MCP_SERVER_URL')) {
    // Nothing else says that it answers turns.
    const isChat = sources.isAsked(SERVER_OF_VARIABLE) && !sources.providers.includes(SERVER_OF_VARIABLE);
    servers.push(serverOfVariable(values, isChat));
    if (isChat) providers.push(SERVER_OF_VARIABLE);
  } else if (keySource !== undefined) {
    const problem = 'is the key for MCP_SERVER_URL, which is not set';
    problems.push({ setting: 'MCP_API_KEY', source: keySource, problem });
  }

  const given = file.values.get('mcp_servers') ?? [];
  if (!Array.isArray(given)) {
    report('mcp_servers', 'must be a list');
    return { servers, names: [], providers, complete: false };
  }
  const entries = readEntries({ place: 'mcp_servers', entries: given }, serverKind, variables, report);
  const taken = new Map(servers.map(({ name }) => [name, 'what the server of MCP_SERVER_URL is called']));
  let complete = file.readable;
  for (const [index, entry] of entries.entries()) {
    const place = `mcp_servers[${index}]`;
    const { name, chat } = isPlainObject(entry) ? entry : {};
    if (typeof name === 'string' && isProviderName(name)) {
      const taker = taken.get(name);
      if (taker !== undefined) report(`${place}.name`, `"${name}" is ${taker}`);
      taken.set(name, 'the name of an entry before');
      if (chat !== undefined) {
        providers.push(name);
        const isTaken = RESERVED_NAMES.has(name) || sources.providers.includes(name);
        if (isTaken)
          report(`${place}.name`, `"${name}" is another provider's name, and chat makes it one as well`);
      }
    } else complete = false;
    if (!Value.Check(mcpServerSchema, entry)) continue;
    const reach = reachOf(entry, (field, problem) => report(`${place}${field}`, problem));
    if (reach !== undefined) servers.push(serverConfig(entry, reach));
  }
  return { servers: Object.freeze(servers), names: [...taken.keys()], providers, complete };
}

function serverOfVariable(
  values: { mcpServerUrl: string | null; mcpApiKey: string | null },
  isChat: boolean,
): McpServerConfig {
  // A wrong URL is a problem already, and nothing is made of this.
  const url = values.mcpServerUrl ?? '';
  const apiKey = values.mcpApiKey;
  const entry = { name: SERVER_OF_VARIABLE, ...(isChat ? { chat: {} } : {}) };
  return serverConfig(entry, { kind: 'http', url, headers: {}, apiKey, oauth: null });
}

function serverConfig(entry: Omit<Entry, 'url'>, reach: McpServerConfig['reach']): McpServerConfig {
  const { allow = null, deny = [] } = entry.tools ?? {};
  return Object.freeze({
    name: entry.name,
    reach: Object.freeze(reach),
    tools: Object.freeze({ allow, deny }),
    timeoutSeconds: entry.timeout_seconds ?? TIMEOUT_SECONDS,
    maxConcurrent: entry.max_concurrent ?? MAX_CONCURRENT,
    instructions: entry.instructions ?? false,
    eager: entry.eager ?? false,
    trust: entry.trust ?? false,
    requireApproval: Object.freeze(approvalPatterns(entry.require_approval ?? false)),
    sampling: entry.sampling ?? false,
    roots: Object.freeze(entry.roots ?? []),
    chat: entry.chat === undefined ? null : chatConfig(entry.chat),
  });
}

function chatConfig({
  tool = CHAT_TOOL,
  context_tokens: contextTokens,
}: NonNullable<Entry['chat']>): McpChatConfig {
  return Object.freeze({ tool, contextTokens: contextTokens ?? null });
}

/** How the server is reached, if its fields agree on that. `field` of a report begins with a dot, or is the entry. */
function reachOf(entry: Entry, report: Report): McpServerConfig['reach'] | undefined {
  const { url, command } = entry;
  if (url === undefined && command === undefined) report('', 'needs a url or a command');
  else if (url !== undefined && command !== undefined)
    report('', 'has a url and a command; a server has one of them');
  else if (url !== undefined) return urlOf({ ...entry, url }, report);
  else if (command !== undefined) return programOf({ ...entry, command }, report);
  return undefined;
}

function urlOf(entry: Entry & { url: string }, report: Report): McpUrlConfig {
  for (const field of ['args', 'env'] as const) {
    if (entry[field] !== undefined) report(`.${field}`, 'is for a program, and this server has a url');
  }
  const { api_key: apiKey, oauth, headers = {} } = entry;
  const keys = [
    ...(apiKey === undefined ? [] : ['api_key']),
    ...(oauth === undefined ? [] : ['oauth']),
    ...Object.keys(headers)
      .filter((name) => name.toLowerCase() === 'authorization')
      .map(() => 'a header'),
  ];
  if (keys.length > 1) report('', `sends Authorization twice, by ${keys.join(' and ')}`);
  if (oauth !== undefined && (oauth.client_secret === undefined) === (oauth.private_key === undefined)) {
    report('.oauth', 'needs either client_secret or private_key');
  }
  return {
    kind: 'http',
    url: entry.url,
    headers: Object.freeze(headers),
    apiKey: apiKey ?? null,
    oauth: oauth === undefined ? null : oauthConfig(oauth),
  };
}

function oauthConfig(oauth: NonNullable<Entry['oauth']>): McpOauthConfig {
  const { client_secret: secret = '', private_key: pem, algorithm = ALGORITHMS[0] } = oauth;
  const proof =
    pem === undefined
      ? { kind: 'secret' as const, secret }
      : { kind: 'private-key' as const, pem, algorithm };
  return Object.freeze({
    clientId: oauth.client_id,
    proof,
    issuer: oauth.issuer,
    scope: oauth.scope ?? null,
  });
}

function programOf(entry: Entry & { command: string }, report: Report): McpProgramConfig {
  for (const field of ['headers', 'api_key', 'oauth'] as const) {
    if (entry[field] !== undefined)
      report(`.${field}`, 'is for a server with a url, and this one is a program');
  }
  const { command, args = [], env = {} } = entry;
  const isPath = /[/\\]/.test(command);
  if (!isPath && !Object.hasOwn(env, 'PATH')) {
    report(
      '.command',
      'is looked for in the PATH that env has, and it has none; add PATH: ${PATH} or give a whole path',
    );
  }
  return { kind: 'program', command, args: Object.freeze(args), env: Object.freeze(env) };
}
