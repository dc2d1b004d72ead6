/** From a location, as `DATABASE_URL` gives it, to a store. Which stores there are is known here alone. */

import type { OpenedStore } from './admin-store.ts';
import { openMemoryStore, openSqliteStore } from './sqlite.ts';
import type { StoreLog } from './store-log.ts';

/** How long a call to an engine of its own may take where nobody says otherwise. */
const TIMEOUT_MILLISECONDS = 2000;

/**
 * Opens the store at `sqlite:<path>` (relative to the working directory, or absolute), `memory:`, `redis://…` as
 * ../redis/location.ts says, or `postgres://…` as postgres/location.ts does. Rejects with an `Error` for the operator if
 * there is no such kind of store, or if it cannot be opened. What only one of them needs is loaded with it.
 * @param timeoutMilliseconds after so long a call is cut, where there is an engine that may not answer
 */
export async function openStore(
  location: string,
  log?: StoreLog,
  timeoutMilliseconds = TIMEOUT_MILLISECONDS,
): Promise<OpenedStore> {
  if (location === 'memory:') return openMemoryStore();
  if (/^rediss?:\/\//.test(location)) {
    const { openRedisStore } = await import('./redis.ts');
    return openRedisStore(location, { log, timeoutMilliseconds });
  }
  if (/^postgres(ql)?:\/\//.test(location)) {
    const { openPostgresStore } = await import('./postgres.ts');
    return openPostgresStore(location, { timeoutMilliseconds });
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
    'redis://host:port, or postgres://host/database.'
  );
}
