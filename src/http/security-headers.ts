/**
 * What every answer tells browsers, errors and streams included: it is data, it runs nothing, it belongs to nobody's
 * page and to nobody's cache. `Strict-Transport-Security` is for whoever ends TLS.
 */

import type { FastifyReply } from 'fastify';

export const SECURITY_HEADERS = {
  // Conversations and keys are nothing for a cache, of a proxy or of a browser that others use as well.
  'cache-control': 'no-store',
  // What is no page loads nothing and stands in no frame, should a browser take it for one all the same.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  // Other sites' pages cannot take an answer in as an image or a script; CORS, where it is on, is not touched by it.
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** For what is the same for everybody: may be kept, and is asked for again. */
export function allowCaching(reply: FastifyReply): void {
  void reply.header('cache-control', 'no-cache');
}
