/** Request bodies: JSON, no deeper than anything real is, and without keys that reach into prototypes. */

import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';

/**
 * Deeper JSON than this is refused: it is parsed without recursion but written with it, and a body that
 * overflows the stack when it is passed on must not be accepted.
 */
const MAX_DEPTH = 128;

/** Makes `application/json` the only body that the server reads. */
export function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text: string, done) => {
    request.timing.receivedAt = performance.now();
    // Many clients name the type of a body that they do not send, with DELETE above all.
    if (text === '') return done(null, undefined);
    void parse(request, text, (error, body) => {
      if (error === null && isDeeperThan(body, MAX_DEPTH)) {
        const problems = [
          { in: 'body', path: '', message: `must not be nested deeper than ${MAX_DEPTH} levels` },
        ];
        done(new AppError('invalid_request', { problems }));
      } else {
        done(error, body);
      }
    });
  });
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  for (const inner of Object.values(value)) if (isDeeperThan(inner, depth - 1)) return true;
  return false;
}
