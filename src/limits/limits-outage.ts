/** The error of limits that are kept elsewhere, where they cannot be reached at the moment. What it means is not decided here. */

import { AppError } from '../errors.ts';

/** Its cause is what the engine or the connection said. */
export class LimitsOutage extends Error {
  override readonly name = 'LimitsOutage';

  constructor(cause: unknown) {
    super('The limits cannot be reached at the moment.', { cause });
  }
}

/** What a call to the engine rejects with: an outage as such, and mistakes of the program as they are. */
export function asLimitsOutage(error: unknown): unknown {
  const isOutage = error instanceof AppError && error.code === 'store_unavailable';
  return isOutage ? new LimitsOutage(error.cause) : error;
}
