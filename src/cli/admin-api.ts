/**
 * The administration as a command reaches it: in the store, which is opened while no server has it, or else at the
 * server that has it. Both speak the JSON of the admin API.
 */

import { existsSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { StoreInUseError } from '../stores/store-in-use.ts';
import type { AdminApi } from './admin-call.ts';
import { CommandError } from './command-error.ts';
import { createServedAdmin } from './served-admin.ts';
import { openStoredAdmin } from './stored-admin.ts';

const FILE = 'sqlite:';

/**
 * Throws a `CommandError` that says what to do where there is neither a store to open nor a server to ask.
 * @param mayMake whether a database that is not there yet is made
 * @param log gets a line for every change that is made in the store; a server writes its own
 */
export async function openAdminApi(config: Config, mayMake: boolean, log: Logger): Promise<AdminApi> {
  const { databaseUrl } = config;
  const close = async () => undefined;
  if (databaseUrl === 'memory:') {
    const reason = 'With DATABASE_URL=memory: keys are in the memory of the running server';
    return { call: createServedAdmin(config, reason), close };
  }
  const place = databaseUrl.startsWith(FILE) ? databaseUrl.slice(FILE.length) : 'the database';
  if (!mayMake && databaseUrl.startsWith(FILE) && !existsSync(place)) {
    throw new CommandError(`there is no database at ${place} (DATABASE_URL)`);
  }
  try {
    return await openStoredAdmin(databaseUrl, log);
  } catch (error) {
    if (!(error instanceof StoreInUseError)) throw new CommandError(asText(error));
    return { call: createServedAdmin(config, `A server is using ${place}`), close };
  }
}

function asText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
