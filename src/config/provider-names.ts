/** Which providers the configuration makes, in the order of choice, and whether the settings name them rightly. */

import type { Problem } from './config-error.ts';
import type { McpServerList } from './mcp-server-list.ts';
import { nearestName } from './nearest-name.ts';
import type { NamedProvider, ProviderList } from './provider-list.ts';
import type { SettingName, SettingValues } from './schema.ts';

/** Where each setting that is set got its value. */
export type Origins = ReadonlyMap<SettingName, string>;

/** The setting that brings a provider into being, for those that have one. */
const SETTING_OF_PROVIDER: ReadonlyMap<string, SettingName> = new Map([
  ['openai', 'OPENAI_API_KEY'],
  ['openrouter', 'OPENROUTER_KEY'],
  ['mcp', 'MCP_SERVER_URL'],
]);

/**
 * The names of all providers: `openai` and `openrouter` if they are set up, the YAML's, the servers that are providers,
 * and `demo` if there is no other or something names it. Reports the names that no provider has.
 *
 * @param sources `named`: the names in the settings and the routes
 */
export function providerNames(
  sources: {
    origins: Origins;
    list: ProviderList;
    mcpServers: McpServerList;
    named: readonly NamedProvider[];
  },
  problems: Problem[],
): readonly string[] {
  const { origins, list, mcpServers, named } = sources;
  const names: string[] = [];
  if (origins.has('OPENAI_API_KEY') || origins.has('OPENAI_BASE_URL')) names.push('openai');
  if (origins.has('OPENROUTER_KEY')) names.push('openrouter');
  names.push(...list.names, ...mcpServers.providers);
  if (names.length === 0 || named.some(({ name }) => name === 'demo')) names.push('demo');

  for (const { setting, source, name } of named) {
    const key = mcpServers.names.includes(name)
      ? 'chat in its entry of mcp_servers'
      : SETTING_OF_PROVIDER.get(name);
    // In a list that is itself broken the name may have been meant: its own problems are told already.
    const isComplete = list.complete && mcpServers.complete;
    if (names.includes(name) || (key === undefined && !isComplete)) continue;
    const remedy = key === undefined ? '' : `${key} would add it; `;
    const known = [...new Set([...names, 'demo'])];
    const nearest = key === undefined ? nearestName(name, known) : undefined;
    const suggestion = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean "${nearest}"?`;
    const problem = `names the provider "${name}", which is not configured; ${remedy}${suggestion}`;
    problems.push({ setting, source, problem });
  }
  return Object.freeze(names);
}

/** The names in `DEFAULT_PROVIDER` and `FALLBACK_PROVIDERS`. */
export function namesInSettings(
  { defaultProvider, fallbackProviders }: SettingValues,
  origins: Origins,
): NamedProvider[] {
  const named = (setting: SettingName, name: string): NamedProvider => {
    return { setting, source: origins.get(setting) ?? 'default', name };
  };
  return [
    ...(defaultProvider === null ? [] : [named('DEFAULT_PROVIDER', defaultProvider)]),
    ...fallbackProviders.map((name) => named('FALLBACK_PROVIDERS', name)),
  ];
}
