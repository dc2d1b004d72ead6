/** The configuration for showing to the operator. */

import type { McpProgramConfig, McpServerConfig, McpUrlConfig } from './mcp-server-list.ts';
import { type Config, configKey, settingNames, settings } from './schema.ts';
import type { Disclosure } from './setting.ts';

const CONCEALED = '***';

export interface DescribedConfig {
  /** Every setting under its own name, and where its value came from. */
  settings: Record<string, { value: unknown; source: string }>;
  /** Those of the YAML file. */
  providers: Record<string, unknown>[];
  routes: Record<string, Record<string, unknown>[]>;
  /** Those of the YAML file, and that of `MCP_SERVER_URL`. */
  mcp_servers: Record<string, unknown>[];
}

/**
 * Secrets and the values of headers are `***`, URLs have their passwords blanked; what is not set is null.
 */
export function describeConfig(config: Config): DescribedConfig {
  const values = settingNames.map((name) => {
    const value = shown(config[configKey(name)], settings[name].disclosure);
    return [name, { value, source: config.sources[name] }] as const;
  });
  const providers = config.providers.map((provider) => ({
    name: provider.name,
    base_url: shown(provider.baseUrl, 'without-password'),
    api_key: shown(provider.apiKey, 'never'),
    model: provider.model,
    models: provider.models,
    headers: concealed(provider.headers),
    context_tokens: provider.contextTokens,
    continue: provider.continuation,
  }));
  const routes = config.routes.map(({ name, targets }) => {
    const shownTargets = targets.map(({ provider, model, weight, contextTokens }) => {
      return { provider, model, weight, context_tokens: contextTokens };
    });
    return [name, shownTargets] as const;
  });
  return {
    settings: Object.fromEntries(values),
    providers,
    routes: Object.fromEntries(routes),
    mcp_servers: config.mcpServers.map(shownServer),
  };
}

function shownServer({ name, reach, tools, ...rest }: McpServerConfig): Record<string, unknown> {
  return {
    name,
    ...(reach.kind === 'http' ? shownUrl(reach) : shownProgram(reach)),
    tools,
    timeout_seconds: rest.timeoutSeconds,
    max_concurrent: rest.maxConcurrent,
    instructions: rest.instructions,
    eager: rest.eager,
    trust: rest.trust,
    require_approval: rest.requireApproval,
    sampling: rest.sampling,
    roots: rest.roots,
    chat: rest.chat && { tool: rest.chat.tool, context_tokens: rest.chat.contextTokens },
  };
}

function shownUrl({ url, headers, apiKey, oauth }: McpUrlConfig): Record<string, unknown> {
  return {
    url: shown(url, 'without-query'),
    headers: concealed(headers),
    api_key: shown(apiKey, 'never'),
    oauth: oauth && {
      client_id: oauth.clientId,
      [oauth.proof.kind === 'secret' ? 'client_secret' : 'private_key']: CONCEALED,
      issuer: oauth.issuer,
      scope: oauth.scope,
    },
  };
}

/** Many programs are given their keys as arguments. */
function shownProgram({ command, args, env }: McpProgramConfig): Record<string, unknown> {
  return { command, args: shown(args, 'never'), env: concealed(env) };
}

function concealed(pairs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(pairs).map((name) => [name, CONCEALED]));
}

function shown(value: unknown, disclosure: Disclosure): unknown {
  if (disclosure === 'never' && Array.isArray(value)) return value.map(() => CONCEALED);
  if (typeof value !== 'string' || disclosure === 'whole') return value;
  if (disclosure === 'without-query') return value.replace(/\?.*/s, `?${CONCEALED}`);
  return disclosure === 'never' ? CONCEALED : withoutPassword(value);
}

/** The URL with its password blanked; a user without one is blanked too, as it may be a token. */
function withoutPassword(text: string): string {
  const url = URL.parse(text);
  // An address of several hosts is no URL by the standard: all that may be a user or a password goes.
  if (url === null) return text.replace(/^([a-z]+:\/\/).*@/i, `$1${CONCEALED}@`);
  if (url.username === '' && url.password === '') return text;
  if (url.password === '') url.username = CONCEALED;
  else url.password = CONCEALED;
  return url.href;
}
