/** Where a server may listen that everybody can use. */

import { BlockList, isIP } from 'node:net';
import { ConfigError } from './config-error.ts';
import type { Config } from './schema.ts';

/**
 * To be called for a server without any key: whoever reaches it can use it, which beyond loopback the operator must
 * have meant. Throws `ConfigError`. Keys may be in the database, so that the configuration alone cannot tell.
 */
export function checkOpenHost({
  host,
  allowOpen,
  sources,
}: Pick<Config, 'host' | 'allowOpen' | 'sources'>): void {
  if (allowOpen || isLoopback(host)) return;
  const problem =
    `"${host}" is beyond loopback, where everybody could use the server; make a key (parley keys create), ` +
    'or set API_KEYS, or ALLOW_OPEN=true to allow it';
  throw new ConfigError([{ setting: 'HOST', source: sources.HOST, problem }]);
}

function isLoopback(host: string): boolean {
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8);
  loopback.addAddress('::1', 'ipv6');
  const version = isIP(host);
  if (version === 0) return host.toLowerCase() === 'localhost';
  return loopback.check(host, version === 6 ? 'ipv6' : 'ipv4');
}
