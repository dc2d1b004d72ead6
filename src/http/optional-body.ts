/** Bodies that may be left out. */

import type { FastifyRequest } from 'fastify';

/** A hook that takes a missing body for an empty object. */
export function optionalBody(request: Pick<FastifyRequest, 'body'>, _reply: unknown, done: () => void): void {
  request.body ??= {};
  done();
}
