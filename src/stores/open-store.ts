/** From a location, as `DATABASE_URL` gives it, to a store. Which stores there are is known here alone. */

import type { OpenedStore } from './admin-store.ts';
import { openMemoryStore, openSqliteStore } from './sqlite.ts';
import type { StoreLog } from './sqlite-log.ts';

export type { StoreLog };

/**
 * Opens the store at `sqlite:<path>` (relative to the working directory, or absolute) or `memory:`. Rejects
 * with an `Error` for the operator if there is no such kind of store, or if it cannot be opened.
 */
export async function openStore(location: string, log?: StoreLog): Promise<OpenedStore> {
  if (location === 'memory:') return openMemoryStore();
  const path = /^sqlite:(?<path>.+)$/.exec(location)?.groups?.['path'];
  if (path === undefined || path.startsWith('//') || path.startsWith(':')) throw new Error(refusal(location));
  return openSqliteStore(path, log);
}

/** Only the scheme is named: the rest of a database's address may hold a password. */
function refusal(location: string): string {
  const [scheme = ''] = location.split(':', 1);
  return `"${scheme}:..." names no store. Use sqlite:<path>, such as sqlite:data/parley.db, or memory:.`;
}
