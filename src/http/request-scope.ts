/** Which request something is done for, where that is too far away to be handed the request. */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyInstance } from 'fastify';

const requestIds = new AsyncLocalStorage<string>();

/** The id of the request for which this is done; undefined if it is done for none, or for a route without a scope. */
export function currentRequestId(): string | undefined {
  return requestIds.getStore();
}

/** Gives the routes that are added from now on a scope, in which their handlers run. */
export function scopeRequests(routes: Pick<FastifyInstance, 'addHook'>): void {
  // Not on arrival: the body comes in events of the connection, which belongs to no request.
  routes.addHook('preHandler', (request, _reply, done) => requestIds.run(request.id, done));
}
