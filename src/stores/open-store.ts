/** From a location, as `DATABASE_URL` gives it, to a store. Which stores there are is known here alone. */

import type { OpenedStore } from './admin-store.ts';
import { openMemoryStore, openSqliteStore } from './sqlite.ts';
import type { StoreLog } from './store-log.ts';

/**
 * Opens the store at `sqlite:<path>` (relative to the working directory, or absolute), `memory:`, or `redis://…` as
 * redis/location.ts says. Rejects with an `Error` for the operator if there is no such kind of store, or if it cannot be
 * opened. A driver is loaded only for the store that needs it.
 * @param timeoutMilliseconds after which a call to an engine elsewhere is given up; its own default without
 */
export async function openStore(
  location: string,
  log?: StoreLog,
  timeoutMilliseconds?: number,
): Promise<OpenedStore> {
  if (location === 'memory:') return openMemoryStore();
  if (/^rediss?:\/\//.test(location)) {
    const { openRedisStore } = await import('./redis.ts');
    return openRedisStore(location, { log, timeoutMilliseconds });
  }
  const path = /^sqlite:(?<path>.+)$/.exec(location)?.groups?.['path'];
  if (path === undefined || path.startsWith('//') || path.startsWith(':')) throw new Error(refusal(location));
  return openSqliteStore(path, log);
}

/** Only the scheme is named: the rest of a database's address may hold a password. */
function refusal(location: string): string {
  const [scheme = ''] = location.split(':', 1);
  return (
    `"${scheme}:..." names no store. Use sqlite:<path>, such as sqlite:data/parley.db, memory:, ` +
    'or redis://host:port.'
  );
}
