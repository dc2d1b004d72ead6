/** What is noted of a request when it is over: a line of the log, and what counts requests and errors. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Rooms } from './rooms.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** Set when the answer is an error. */
    errorCode: string | null;
  }
}

/** To be called at the end of the answer, or when the client has left before it. */
export function noteEnd(request: FastifyRequest, reply: FastifyReply, { errors, metrics }: Rooms): void {
  if (reply.errorCode !== null) errors.count(reply.errorCode, request.id);
  metrics?.request({
    method: request.method,
    route: request.routeOptions.url ?? null,
    status: reply.raw.headersSent ? reply.statusCode : null,
    code: reply.errorCode,
    seconds: reply.elapsedTime / 1000,
  });
  request.log.info(
    {
      method: request.method,
      // Without the query: metadata filters are the caller's data.
      path: request.url.split('?', 1)[0],
      status: reply.statusCode,
      ...(reply.errorCode === null ? {} : { code: reply.errorCode }),
      ...(reply.raw.writableFinished ? {} : { client_left: true }),
      ms: Math.round(reply.elapsedTime),
    },
    'request',
  );
}
