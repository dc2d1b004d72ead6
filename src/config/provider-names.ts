/** Which providers the configuration makes, in the order of choice, and whether the settings name them rightly. */

import type { Problem } from './config-error.ts';
import type { ProviderList } from './provider-list.ts';
import type { SettingName, SettingValues } from './schema.ts';

/** Where each setting that is set got its value. */
export type Origins = ReadonlyMap<SettingName, string>;

/** The setting that brings a provider into being, for those that have one. */
const SETTING_OF_PROVIDER: ReadonlyMap<string, SettingName> = new Map([
  ['openai', 'OPENAI_API_KEY'],
  ['openrouter', 'OPENROUTER_KEY'],
]);

/**
 * The names of all providers: `openai` and `openrouter` if they are set up, the YAML's, and `demo` if there is
 * no other or a setting names it. Reports names in `DEFAULT_PROVIDER` and `FALLBACK_PROVIDERS` that no
 * provider has.
 */
export function providerNames(
  sources: { values: SettingValues; origins: Origins; list: ProviderList },
  problems: Problem[],
): readonly string[] {
  const { values, origins, list } = sources;
  const names: string[] = [];
  if (origins.has('OPENAI_API_KEY') || origins.has('OPENAI_BASE_URL')) names.push('openai');
  if (origins.has('OPENROUTER_KEY')) names.push('openrouter');
  names.push(...list.names);

  const named: { setting: SettingName; name: string }[] = values.fallbackProviders.map((name) => ({
    setting: 'FALLBACK_PROVIDERS',
    name,
  }));
  if (values.defaultProvider !== null) {
    named.unshift({ setting: 'DEFAULT_PROVIDER', name: values.defaultProvider });
  }
  if (names.length === 0 || named.some(({ name }) => name === 'demo')) names.push('demo');

  for (const { setting, name } of named) {
    const key = SETTING_OF_PROVIDER.get(name);
    // In a list that is itself broken the name may have been meant: its own problems are told already.
    if (names.includes(name) || (key === undefined && !list.complete)) continue;
    const known = [...new Set([...names, 'demo'])].join(', ');
    const remedy = key === undefined ? '' : `${key} would add it; `;
    const problem = `names the provider "${name}", which is not configured; ${remedy}known are ${known}`;
    problems.push({ setting, source: origins.get(setting) ?? 'default', problem });
  }
  return Object.freeze(names);
}
