/** A Redis behind TLS, and a user of it who may do what a store and limits need, and nothing else (docs/redis.md). */

import type { Certificate } from './certificates.ts';
import { freePort, type RedisServer, RIGHTS, startRedis } from './redis-server.ts';

export interface EncryptedRedis {
  /** Its own port is not encrypted, and for the operator. */
  readonly server: RedisServer;
  /** The one that is encrypted. */
  readonly port: number;
  /** User and password, as a URL has them. */
  readonly user: string;
  /** What must not be seen. */
  readonly secret: string;
  /** What the user was denied so far. */
  denied(): Promise<unknown[]>;
}

const SECRET = 'p@ss:w0rd';

/** @param authority the path of its certificate, which Redis wants to know although no client has one */
export async function startEncryptedRedis(
  { certificate, key }: Certificate,
  authority: string,
  ...options: string[]
): Promise<EncryptedRedis> {
  const port = await freePort();
  const files = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', authority];
  const server = await startRedis('--tls-port', `${port}`, ...files, '--tls-auth-clients', 'no', ...options);
  await server.command('ACL', 'SETUSER', 'parley', 'on', `>${SECRET}`, ...RIGHTS);
  return {
    server,
    port,
    user: `parley:${encodeURIComponent(SECRET)}`,
    secret: SECRET,
    async denied() {
      const entries = await server.command<unknown[][]>('ACL', 'LOG');
      // Who has given a wrong password is somebody else.
      return entries.filter((entry) => !entry.includes('auth'));
    },
  };
}
