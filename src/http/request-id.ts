/** The id of a request: the caller's own, so that one id can be followed through several systems, or a new one. */

import type { IncomingMessage } from 'node:http';
import { newId } from '../conversation/id.ts';

/**
 * Room for what tracing systems make, in characters that mean nothing in a log, in JSON, in a header or in a shell.
 * Anything else is not mended but replaced: half of an id finds nothing.
 */
const SANE = /^[A-Za-z0-9._-]{1,128}$/;

/** What `X-Request-ID` says, if it is sane. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && SANE.test(given) ? given : newId();
}
