/**
 * The gate before the API: who calls, and whether that is too often. Both are decided before a body is read, and
 * on paths that do not exist as well, so that nobody learns without a key what is there.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Directory } from '../clients/directory.ts';
import { AppError } from '../errors.ts';
import type { Allowlist } from '../limits/allowlist.ts';
import { addressIdentity } from '../limits/identity.ts';
import type { Bucket, Limiter } from '../limits/limiter.ts';
import { rateLimitHeaders } from '../limits/rate-limit-headers.ts';
import { type Caller, callerOf, OPEN_OWNER } from './auth.ts';

export interface GateOptions {
  directory: Directory;
  limiter: Limiter;
  /** Addresses that are not limited. */
  allowlist: Pick<Allowlist, 'has'>;
  /** What holds for addresses, and for clients without limits of their own. */
  rate: RateLimit;
  /** Told of every request that was counted. */
  observe?: (decision: { allowed: boolean; limit: string | null }) => void;
}

export interface RateLimit {
  /** Requests a second, over time. */
  rps: number;
  /** Requests at once, after a pause. */
  burst: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The client that the request comes from, which is the owner of the sessions it makes. */
    owner: string;
  }
}

/** For probes, for whoever collects metrics, and for readers of the documentation. */
const OPEN_ROUTES = new Set(['/health', '/ready', '/metrics', '/openapi.json', '/docs', '/docs/*']);

/**
 * Lets a request pass, or throws `rate_limited` or what is wrong with its key. A wrong key costs its address a
 * request, so that keys cannot be tried out.
 */
export function createGate({ directory, limiter, allowlist, rate, observe }: GateOptions) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    // As it is dispatched: a path that is written otherwise must not be judged otherwise.
    const route = request.routeOptions.url ?? '';
    if (OPEN_ROUTES.has(route)) return;
    // Administration has a token of its own, which is looked at once the address was counted.
    const isAdmin = route.startsWith('/admin');
    const caller: Caller = isAdmin ? { kind: 'anybody' } : callerOf(request.headers, directory);
    const buckets = allowlist.has(request.ip) ? [] : bucketsOf(caller, request.ip);
    if (buckets.length > 0) await count(buckets, reply);
    if (caller.kind === 'refused') throw caller.error;
    request.owner = caller.kind === 'client' ? caller.client.id : OPEN_OWNER;
  };

  function bucketsOf(caller: Caller, ip: string): Bucket[] {
    const address = { limit: 'address', identity: addressIdentity(ip), rate: rate.rps, burst: rate.burst };
    if (caller.kind !== 'client') return [address];
    const { limits } = caller.client;
    const own = { rate: limits.rps ?? rate.rps, burst: limits.burst ?? rate.burst };
    return [address, { limit: 'key', identity: caller.keyId, ...own }];
  }

  async function count(buckets: readonly Bucket[], reply: FastifyReply): Promise<void> {
    const decision = await limiter.take(buckets);
    for (const [name, value] of Object.entries(rateLimitHeaders(decision))) void reply.header(name, value);
    const exhausted = decision.buckets.find((bucket) => bucket.exhausted)?.limit ?? null;
    observe?.({ allowed: decision.allowed, limit: exhausted });
    if (decision.allowed) return;
    throw new AppError('rate_limited', { retry_after: decision.retryAfterSeconds, limit: exhausted });
  }
}
