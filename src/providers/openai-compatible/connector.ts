/**
 * Makes connections in an exact time. The clock of undici itself goes in steps of half a second; here it only
 * cleans up.
 */

import { buildConnector, errors } from 'undici';

/**
 * A connector for a pool of undici.
 *
 * @param milliseconds for finding the address, connecting and agreeing on encryption together; what takes longer
 * fails with undici's `ConnectTimeoutError`
 */
export function createConnector(milliseconds: number): buildConnector.connector {
  const connect = buildConnector({ timeout: milliseconds });
  return (options, callback) => {
    let isLate = false;
    const clock = setTimeout(() => {
      isLate = true;
      callback(new errors.ConnectTimeoutError(), null);
    }, milliseconds);
    connect(options, (...result) => {
      clearTimeout(clock);
      if (isLate) result[1]?.destroy();
      else callback(...result);
    });
  };
}

/** Whether a request failed because no connection was made for it in time. */
export function isConnectTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'UND_ERR_CONNECT_TIMEOUT';
}
