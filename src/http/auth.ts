/**
 * Who calls: the client whose key a request carries. Without any key in the configuration and the store the server
 * is open, and everybody is the same client.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { Directory, KnownClient } from '../clients/directory.ts';
import { AppError } from '../errors.ts';

/** The owner of every session of an open server. */
export const OPEN_OWNER = 'open';

/** What a request says of who sends it. */
export type Caller =
  | { kind: 'client'; client: KnownClient; keyId: string }
  /** The server is open. */
  | { kind: 'anybody' }
  /** The request is to be refused with this. */
  | { kind: 'refused'; error: AppError };

/** Recognises the key of a request, sent as `Authorization: Bearer` or `X-API-Key`. */
export function callerOf(headers: IncomingHttpHeaders, directory: Directory): Caller {
  if (directory.isOpen()) return { kind: 'anybody' };
  const key = bearerOf(headers.authorization) ?? headers['x-api-key'];
  if (key === undefined) return { kind: 'refused', error: new AppError('missing_api_key') };
  const found = directory.identify(String(key));
  switch (found.kind) {
    case 'client':
      return found;
    case 'revoked':
      return { kind: 'refused', error: new AppError('api_key_revoked') };
    case 'expired':
      return { kind: 'refused', error: new AppError('api_key_expired') };
    case 'unknown':
      return { kind: 'refused', error: new AppError('invalid_api_key') };
  }
}

function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S.*)$/i.exec(authorization ?? '')?.[1];
}
