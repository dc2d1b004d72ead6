/** 405 for every path that answers to another method, with the methods it does answer to. */

import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';

/** Watches the routes that are registered from now on; the function it returns adds the refusals. */
export function collectMethods(app: FastifyInstance): () => void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const one of [method].flat()) known.add(one);
    methods.set(url, known);
  });

  return () => {
    // A copy: the hook sees the refusals as well.
    const paths = Array.from(methods);
    for (const [url, known] of paths) {
      const allow = [...known].join(', ');
      app.route({
        method: app.supportedMethods.filter((method) => !known.has(method)),
        url,
        schema: { hide: true },
        handler: (_request, reply) => {
          void reply.header('allow', allow);
          throw new AppError('method_not_allowed');
        },
      });
    }
  };
}
