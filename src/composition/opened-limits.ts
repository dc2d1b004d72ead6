/** The limits as the configuration wants them: of this server alone, or of all that share a Redis. */

import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { createInProcessLimiter, type InProcessLimiterOptions } from '../limits/in-process.ts';
import { createInProcessSlots } from '../limits/in-process-slots.ts';
import { createRedisLimiter } from '../limits/redis.ts';
import { createRedisSlots } from '../limits/redis-slots.ts';
import { type Limits, withOutage } from '../limits/with-outage.ts';
import type { OpenedRedis } from './opened-redis.ts';

export interface OpenedLimits extends Limits {
  /** Whether the limits that servers share can be reached; null where they share none. */
  isReached: (() => boolean) | null;
  /** Null where there is nothing to close. */
  close: (() => Promise<void>) | null;
}

/** What stands in the log of an outage. */
const MEANS = {
  local: 'the limits that servers share cannot be reached: this server limits for itself',
  deny: 'the limits that servers share cannot be reached: requests that they hold for are refused',
} as const;

/** @param redis null limits for this server alone */
export function openLimits(
  redis: Pick<OpenedRedis, 'connection' | 'location'> | null,
  config: Pick<Config, 'rateLimitOnOutage' | 'turnLeaseSeconds'>,
  usedToday: NonNullable<InProcessLimiterOptions['usedToday']>,
  log: Logger,
): OpenedLimits {
  const limiter = () => createInProcessLimiter({ usedToday });
  const own = { limiter, slots: createInProcessSlots() };
  if (redis === null) return { limiter: limiter(), slots: own.slots, isReached: null, close: null };

  const { connection, location } = redis;
  const slots = createRedisSlots(connection, location.prefix, {
    leaseMilliseconds: config.turnLeaseSeconds * 1000,
    onFailure: (error) => log.error({ err: error }, 'slots of running turns could not be renewed'),
  });
  const limits = withOutage({
    shared: { limiter: createRedisLimiter(connection, location.prefix, { usedToday }), slots },
    own: config.rateLimitOnOutage === 'local' ? own : null,
    onBegin: (cause) => log.warn({ err: cause }, MEANS[config.rateLimitOnOutage]),
    onEnd: (milliseconds) =>
      log.info({ milliseconds: Math.round(milliseconds) }, 'the limits that servers share are back'),
  });
  return {
    limiter: limits.limiter,
    slots: limits.slots,
    isReached: () => !limits.isOut(),
    async close() {
      limits.close();
      await slots.close();
    },
  };
}
