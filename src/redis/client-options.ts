/** What the driver is told of every connection to Redis, to whatever stands at the other end. It connects to nothing. */

import type { RedisLocation } from './location.ts';

/** The driver's own clocks are off: calls have a deadline of their own, and its timer for each command is dear. */
export const NO_TIMEOUT = { timeout: 0 };
/** Milliseconds between tries to connect: more each time, and soon enough after a short outage. */
export const LONGEST_PAUSE = 500;
const FIRST_PAUSE = 25;

/** @param connectTimeout milliseconds for making a connection */
export function clientOptions(
  { encrypted, username, password, database }: RedisLocation,
  connectTimeout: number,
) {
  return {
    name: 'parley',
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(database === 0 ? {} : { database }),
    socket: {
      connectTimeout,
      reconnectStrategy: (retries: number) =>
        Math.min(FIRST_PAUSE * 2 ** Math.min(retries, 9), LONGEST_PAUSE),
      ...(encrypted ? { tls: true as const } : {}),
    },
  } as const;
}
