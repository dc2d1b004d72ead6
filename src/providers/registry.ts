/** The configured providers, found by name. */

import { AppError } from '../errors.ts';
import type { Provider, Providers } from './provider.ts';

/**
 * @param all in the order of the configuration
 * @param defaultName the provider used when nobody chooses; null takes the first
 * Throws `provider_not_found` if the default is not in the list, and an `Error` if the list is empty or a name
 * stands in it twice, both of which the configuration rules out.
 */
export function createProviders(all: readonly Provider[], defaultName: string | null): Providers {
  const [first] = all;
  if (first === undefined) throw new Error('at least one provider is needed');
  const byName = new Map<string, Provider>();
  for (const provider of all) {
    const key = keyOf(provider.name);
    if (byName.has(key)) throw new Error(`two providers have the name "${key}"`);
    byName.set(key, provider);
  }
  return { all, default: defaultName === null ? first : get(defaultName), get, close };

  function get(name: string): Provider {
    const provider = byName.get(keyOf(name));
    if (provider === undefined) {
      throw new AppError('provider_not_found', { provider: name, known: [...byName.keys()] });
    }
    return provider;
  }

  async function close(): Promise<void> {
    await Promise.all(all.map((provider) => provider.close()));
  }
}

function keyOf(name: string): string {
  return name.trim().toLowerCase();
}
