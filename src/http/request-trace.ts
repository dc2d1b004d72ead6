/** Requests followed in a trace, where there are traces: otherwise requests take no step more. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, BeginTrace, RequestTrace } from './rooms.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null until it has begun. */
    trace: RequestTrace | null;
  }
}

/**
 * Makes what a handler does part of the trace of its request, and returns what begins that trace: to be called for
 * every request on its arrival.
 */
export function followRequests(
  app: App,
  begin: BeginTrace,
): (request: FastifyRequest, reply: FastifyReply) => void {
  app.decorateRequest('trace', null);
  // Not on arrival: the body comes in events of the connection, which is part of no request.
  app.addHook('preHandler', (request, _reply, done) => {
    if (request.trace === null) done();
    else request.trace.run(done);
  });
  return (request, reply) => {
    const { id, method, headers } = request;
    const trace = begin({ id, method, route: request.routeOptions.url ?? null, headers });
    request.trace = trace;
    request.log = reply.log = request.log.child({ trace_id: trace.traceId });
    // Comes for answers of every kind, streams included, and also where there was no answer.
    reply.raw.once('close', () => {
      trace.end({
        status: reply.raw.headersSent ? reply.statusCode : null,
        code: reply.errorCode,
        clientLeft: !reply.raw.writableFinished,
      });
    });
  };
}
