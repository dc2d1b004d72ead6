/**
 * Cross-origin requests of browsers: which web pages may call the API, and what they may send and read. Off, nothing
 * is said at all. Credentials are never allowed: keys are sent in headers, and there are no cookies to protect.
 * Nor is administration ever offered to pages of elsewhere.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { addVary } from './vary.ts';

/** What routes read of a request beside what every page may send. */
const ALLOWED_HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'Last-Event-ID',
  'traceparent',
  'tracestate',
  'X-API-Key',
  'X-Provider',
  'X-Request-ID',
  'X-Session-ID',
].join(', ');

const ALLOWED_METHODS = 'GET, HEAD, POST, PATCH, DELETE';

/** How limits stand, in OpenAI's names. */
const OPENAI_HEADERS = ['requests', 'tokens'].flatMap((unit) =>
  ['Limit', 'Remaining', 'Reset'].map((what) => `X-RateLimit-${what}-${unit}`),
);

/** What answers say in their headers beside what every page may read. */
const EXPOSED_HEADERS = [
  'Idempotent-Replayed',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Server-Timing',
  ...OPENAI_HEADERS,
  'X-Request-ID',
  'X-Session-ID',
  'X-Should-Retry',
  'X-Turn-ID',
].join(', ');

/** As long as browsers remember it at most; each session's URLs are asked about anew. */
const MAX_AGE_SECONDS = '7200';

export interface Cors {
  /** Says on the answer, whatever it will be, whether the request's page may read it. */
  allow(request: FastifyRequest, reply: FastifyReply): void;
  /** Answers a question whether a request may be sent; false if the request is none, or not of a page that may ask. */
  answerPreflight(request: FastifyRequest, reply: FastifyReply): boolean;
}

/** @param origins as browsers write them, or `*` alone; none switches it off */
export function createCors(origins: readonly string[]): Cors {
  const all = origins.includes('*');
  const known = new Set(origins);
  if (known.size === 0) return { allow: () => undefined, answerPreflight: () => false };
  return { allow, answerPreflight };

  function allow(request: FastifyRequest, reply: FastifyReply): void {
    if (isAdministration(request)) return;
    // Also where no origin was sent: a cache must not give that answer to a page.
    if (!all) addVary(reply, 'Origin');
    const origin = allowedOrigin(request);
    if (origin === null) return;
    void reply.header('access-control-allow-origin', origin);
    void reply.header('access-control-expose-headers', EXPOSED_HEADERS);
  }

  function answerPreflight(request: FastifyRequest, reply: FastifyReply): boolean {
    const { method, headers } = request;
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
    if (isAdministration(request) || allowedOrigin(request) === null) return false;
    void reply
      .removeHeader('access-control-expose-headers')
      .header('access-control-allow-methods', ALLOWED_METHODS)
      .header('access-control-allow-headers', ALLOWED_HEADERS)
      .header('access-control-max-age', MAX_AGE_SECONDS)
      .code(204)
      .send();
    return true;
  }

  /** What the answer is to name; null where the request is of no page, or of one that may not. */
  function allowedOrigin({ headers }: FastifyRequest): string | null {
    const { origin } = headers;
    if (origin === undefined) return null;
    if (all) return '*';
    return known.has(origin) ? origin : null;
  }
}

/** As it is dispatched: a path that is written otherwise must not be judged otherwise. */
function isAdministration({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.url?.startsWith('/admin') ?? false;
}
