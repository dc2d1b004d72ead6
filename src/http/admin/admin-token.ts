/** Who may administer: whoever has the token. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../../errors.ts';

/** A hook that refuses requests without the token; all of them if there is none. */
export function createAdminCheck(token: string | null): (request: FastifyRequest) => Promise<void> {
  const expected = token === null ? null : digest(token);
  return async ({ headers }) => {
    if (expected === null) throw new AppError('admin_disabled');
    const given = headers['x-admin-token'];
    if (given === undefined) throw new AppError('missing_admin_token');
    // Of equal length whatever was given, and compared in equal time.
    if (!timingSafeEqual(digest(String(given)), expected)) throw new AppError('invalid_admin_token');
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
