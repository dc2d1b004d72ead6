/**
 * The gate before the API: who calls, and whether that is too often. Both are decided before a body is read, and
 * on paths that do not exist as well, so that nobody learns without a key what is there.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Directory } from '../clients/directory.ts';
import type { TurnAllowance } from '../conversation/client.ts';
import { AppError } from '../errors.ts';
import type { Allowlist } from '../limits/allowlist.ts';
import { addressIdentity } from '../limits/identity.ts';
import type { Bucket, Decision, Limiter } from '../limits/limiter.ts';
import { openAIRateLimitHeaders, rateLimitHeaders } from '../limits/rate-limit-headers.ts';
import { rateLimited, tokenBuckets } from '../turns/token-charge.ts';
import { isAdminToken } from './admin/admin-token.ts';
import { type Caller, callerOf, OPEN_OWNER } from './auth.ts';

export interface GateOptions {
  /** What `X-Admin-Token` must be; null switches the administration off. */
  adminToken: string | null;
  directory: Directory;
  limiter: Limiter;
  /** Addresses that are not limited. */
  allowlist: Pick<Allowlist, 'has'>;
  /** What holds for addresses, and for clients without limits of their own. */
  limits: ServerLimits;
  /** Told of every request that was counted. */
  observe?: (decision: { allowed: boolean; limit: string | null }) => void;
}

export interface ServerLimits extends TurnAllowance {
  /** Requests a second, over time. */
  rps: number;
  /** Requests at once, after a pause. */
  burst: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The client that the request comes from, which is the owner of the sessions it makes. */
    owner: string;
    /** What the turns of that client may take. */
    allowance: TurnAllowance;
  }

  interface FastifyContextConfig {
    /** Whether a request may begin a turn, for which its client needs tokens. */
    beginsTurn?: boolean;
  }
}

/** For probes, for whoever collects metrics, and for readers of the documentation. */
const OPEN_ROUTES = new Set(['/health', '/ready', '/metrics', '/openapi.json', '/docs', '/docs/*']);

/**
 * Lets a request pass, or throws `rate_limited` or what is wrong with its key. A wrong key costs its address a
 * request, so that keys cannot be tried out. Of requests to the administration only those are limited whose token is
 * wrong: an operator must not be kept out by what comes from the same address.
 */
export function createGate({ adminToken, directory, limiter, allowlist, limits, observe }: GateOptions) {
  const isToken = isAdminToken(adminToken);

  return async (request: FastifyRequest, reply: FastifyReply, administration = false): Promise<void> => {
    // As it is dispatched: a path that is written otherwise must not be judged otherwise.
    const route = request.routeOptions.url ?? '';
    if (OPEN_ROUTES.has(route)) return;
    const isFree = allowlist.has(request.ip);
    if (administration || route.startsWith('/admin')) return checkToken(request, reply, isFree);
    const caller = callerOf(request.headers, directory);
    const allowance = allowanceOf(caller);
    const owner = caller.kind === 'client' ? caller.client.id : OPEN_OWNER;
    // The allowlist is about requests; what models cost is a matter between the operator and the client.
    const needsTokens = request.routeOptions.config.beginsTurn === true && caller.kind !== 'refused';
    // Whoever has none left is told before anything is stored; how many the turn takes is seen when it has begun.
    const tokens = needsTokens ? tokenBuckets(owner, allowance, 0).map((one) => ({ ...one, need: 1 })) : [];
    const buckets = [...(isFree ? [] : requestBuckets(caller, request.ip)), ...tokens];
    if (buckets.length > 0) await count(buckets, reply);
    if (caller.kind === 'refused') throw caller.error;
    request.owner = owner;
    request.allowance = allowance;
  };

  /**
   * Takes a failure from the address, and of a right token asks whether there is one left. Both are denied alike: who has
   * none left learns nothing of the token, and operators who come at the same time take nothing from each other.
   */
  async function checkToken(request: FastifyRequest, reply: FastifyReply, isFree: boolean): Promise<void> {
    if (adminToken === null) throw new AppError('admin_disabled');
    const given = request.headers['x-admin-token'];
    const isRight = given !== undefined && isToken(String(given));
    const identity = addressIdentity(request.ip);
    const server = { rate: limits.rps, burst: limits.burst };
    const failures: Bucket = { limit: 'admin', identity, ...server, cost: isRight ? 0 : 1, need: 1 };
    const decision = await limiter.take(isFree ? [] : [failures]);
    if (!decision.allowed) deny(decision, reply);
    if (given === undefined) throw new AppError('missing_admin_token');
    if (!isRight) throw new AppError('invalid_admin_token');
  }

  function allowanceOf(caller: Caller): TurnAllowance {
    if (caller.kind !== 'client') return limits;
    const own = caller.client.limits;
    return {
      concurrentTurns: own.concurrentTurns ?? limits.concurrentTurns,
      tokensPerMinute: own.tokensPerMinute ?? limits.tokensPerMinute,
      tokensPerDay: own.tokensPerDay ?? limits.tokensPerDay,
    };
  }

  function requestBuckets(caller: Caller, ip: string): Bucket[] {
    const server = { rate: limits.rps, burst: limits.burst };
    const address = { limit: 'address', identity: addressIdentity(ip), ...server };
    if (caller.kind !== 'client') return [address];
    const { rps, burst } = caller.client.limits;
    const own = { rate: rps ?? limits.rps, burst: burst ?? limits.burst };
    return [address, { limit: 'key', identity: caller.keyId, ...own }];
  }

  async function count(buckets: readonly Bucket[], reply: FastifyReply): Promise<void> {
    const decision = await limiter.take(buckets);
    if (!decision.allowed) deny(decision, reply);
    tell(decision, reply);
    observe?.({ allowed: true, limit: null });
  }

  function deny(decision: Decision, reply: FastifyReply): never {
    const limit = decision.buckets.find(({ exhausted }) => exhausted)?.limit ?? null;
    tell(decision, reply);
    observe?.({ allowed: false, limit });
    throw rateLimited(decision.retryAfterSeconds, limit);
  }
}

function tell(decision: Decision, reply: FastifyReply): void {
  void reply.headers(rateLimitHeaders(decision));
  const route = reply.request.routeOptions.url ?? '';
  if (route.startsWith('/v1/')) void reply.headers(openAIRateLimitHeaders(decision));
}
