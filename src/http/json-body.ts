/** Request bodies: JSON, of a depth and a size that anything real has, and without keys that reach into prototypes. */

import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.ts';

/**
 * Deeper JSON than this is refused: it is parsed without recursion but written with it, and a body that
 * overflows the stack when it is passed on must not be accepted.
 */
export const MAX_DEPTH = 128;

/**
 * Objects, arrays and what is in them. A body of millions of empty ones is small on the wire, and takes the server
 * seconds to validate and to tell apart, in which nobody else is served.
 */
export const MAX_VALUES = 100_000;

/** Makes `application/json` the only body that the server reads. */
export function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text: string, done) => {
    request.timing.receivedAt = performance.now();
    // Many clients name the type of a body that they do not send, with DELETE above all.
    if (text === '') return done(null, undefined);
    void parse(request, text, (error, body) => {
      const message = error === null ? excessOf(body) : isJson(text) ? FORBIDDEN : null;
      if (message === null) done(error, body);
      else done(new AppError('invalid_request', { problems: [{ in: 'body', path: '', message }] }));
    });
  });
}

/** What else than a fault of its writing makes a body one that is not parsed. */
const FORBIDDEN = 'must not have "__proto__" as a key, nor "prototype" under "constructor"';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What is too much of the body; null if nothing is. */
function excessOf(body: unknown): string | null {
  let values = 0;
  return look(body, MAX_DEPTH);

  function look(value: unknown, depth: number): string | null {
    values += 1;
    if (values > MAX_VALUES) return `must not have more than ${MAX_VALUES} values`;
    if (typeof value !== 'object' || value === null) return null;
    if (depth === 0) return `must not be nested deeper than ${MAX_DEPTH} levels`;
    for (const inner of Object.values(value)) {
      const excess = look(inner, depth - 1);
      if (excess !== null) return excess;
    }
    return null;
  }
}
