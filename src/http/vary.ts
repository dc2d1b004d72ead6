/** What an answer depends on beside its URL, for caches: several parts of the server have a say in it. */

import type { FastifyReply } from 'fastify';

/** Adds the name of a request header to `Vary`. */
export function addVary(reply: FastifyReply, name: string): void {
  const before = reply.getHeader('vary');
  void reply.header('vary', before === undefined ? name : `${String(before)}, ${name}`);
}
