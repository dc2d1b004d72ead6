/** All keys in memory, found by their text or their id. What one is worth is decided in directory.ts. */

import { timingSafeEqual } from 'node:crypto';
import type { ApiKey } from '../conversation/client.ts';
import { hashKey, isKeyText } from './key-text.ts';

/** A client whose key is in the settings. */
interface StaticClient {
  kind: 'static';
  /** Begins as no id of a managed client does, and is never empty. */
  id: string;
  name: string;
  hash: string;
}

interface ManagedKey {
  kind: 'managed';
  key: ApiKey;
  hash: string;
}

/**
 * @param managed taken over: changes to a key that is handed out are changes to the one that is kept
 * @param staticKeys hashed here; their texts are not kept
 */
export function createKeyRing(
  managed: readonly ApiKey[],
  staticKeys: readonly { name: string; key: string }[],
) {
  const byHash = new Map<string, StaticClient | ManagedKey>();
  const byId = new Map<string, ApiKey>();
  const staticNames = new Map<string, string>();
  for (const key of managed) add(key);
  for (const { name, key } of staticKeys) {
    const hash = hashKey(key);
    const id = `static:${name}`;
    byHash.set(hash, { kind: 'static', id, name, hash });
    staticNames.set(id, name);
  }

  const onlyManaged = staticKeys.length === 0;

  return {
    isEmpty: () => byHash.size === 0,
    find,
    withId: (keyId: string) => byId.get(keyId),
    ofClient,
    /** Undefined for a client that has no key in the settings. */
    staticName: (clientId: string) => staticNames.get(clientId),
    add,
    update,
  };

  /**
   * Looked for is the hash, of which a caller chooses no part: how long the look-up takes tells nothing about any
   * key. What it finds is compared once more, in constant time, so that this does not rest on how maps compare.
   */
  function find(text: string): StaticClient | ManagedKey | undefined {
    // Keys of the settings have any form; managed ones are told from mistyped ones without being hashed.
    if (onlyManaged && !isKeyText(text)) return undefined;
    const hash = hashKey(text);
    const found = byHash.get(hash);
    if (found === undefined || !timingSafeEqual(Buffer.from(found.hash), Buffer.from(hash))) return undefined;
    return found;
  }

  function ofClient(clientId: string): ApiKey[] {
    return [...byId.values()].filter((key) => key.clientId === clientId);
  }

  /** Takes over what has become of keys, and keys that are new. None ever goes. */
  function update(managed: readonly ApiKey[]): void {
    for (const key of managed) {
      const known = byId.get(key.id);
      if (known === undefined) add(key);
      else Object.assign(known, key, { lastUsedAt: latest(known.lastUsedAt, key.lastUsedAt) });
    }
  }

  function add(key: ApiKey): void {
    byHash.set(key.hash, { kind: 'managed', key, hash: key.hash });
    byId.set(key.id, key);
  }
}

function latest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}
