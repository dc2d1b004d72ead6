/** The store that a command moves out of or into, opened without a server. */

import { existsSync } from 'node:fs';
import type { Logger } from 'pino';
import { AppError } from '../errors.ts';
import type { OpenedStore } from '../stores/admin-store.ts';
import { openStore } from '../stores/open-store.ts';
import { ExportFormatError } from '../stores/portable-lines.ts';
import { StoreInUseError } from '../stores/store-in-use.ts';
import { CommandError } from './command-error.ts';
import { EXIT_DATA } from './exit-codes.ts';
import { placeOf } from './place-of.ts';

const FILE = 'sqlite:';

/** Nobody waits for an answer: a call may take as long as a busy engine needs for it. */
const TIMEOUT_MILLISECONDS = 60_000;

/**
 * Throws a `CommandError` that says why it cannot be used.
 * @param mayMake whether a database that is not there yet is made
 */
export async function openMovedStore(location: string, mayMake: boolean, log: Logger): Promise<OpenedStore> {
  if (location === 'memory:')
    throw new CommandError('memory: is in the memory of a server, and ends with it');
  if (!mayMake && location.startsWith(FILE) && !existsSync(location.slice(FILE.length))) {
    throw new CommandError(`there is no database at ${location.slice(FILE.length)}`);
  }
  try {
    return await openStore(location, log, TIMEOUT_MILLISECONDS);
  } catch (error) {
    if (error instanceof StoreInUseError) {
      throw new CommandError(`a server is using ${placeOf(location)}: stop it first`);
    }
    throw asCommandError(error);
  }
}

/** One line about any error, and the exit code. */
export function asCommandError(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof ExportFormatError) return new CommandError(error.message, EXIT_DATA);
  const { message } = error instanceof Error ? error : { message: String(error) };
  const cause = error instanceof AppError && error.cause instanceof Error ? error.cause.message : '';
  return new CommandError(cause === '' ? message : `${message} (${cause})`);
}
