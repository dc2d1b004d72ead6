/**
 * What a Redis server does with what it is given, as far as it can be asked: whether it writes it to disk, and whether it
 * throws it away when memory is short. Only the operator can change either, so this only tells.
 */

import type { RedisConnection } from '../../redis/connection.ts';
import type { Keyspace } from './keyspace.ts';

/** What is wrong with how the server keeps things, a sentence each; empty if all is well or nobody may ask. */
export async function findPersistenceProblems(
  connection: RedisConnection,
  keyspace: Keyspace,
): Promise<string[]> {
  const facts = await askServer(connection, keyspace);
  const problems: string[] = [];
  if (facts.get('aof_enabled') === '0') {
    problems.push(
      'Redis does not log its writes (appendonly no): what it was given since its last snapshot is lost when it stops.',
    );
  }
  const policy = facts.get('maxmemory_policy') ?? 'noeviction';
  if (facts.get('maxmemory') !== '0' && policy !== 'noeviction') {
    problems.push(
      `Redis throws conversations away when memory is short (maxmemory-policy ${policy}): set noeviction.`,
    );
  }
  return problems;
}

/** Some providers forbid INFO. On a cluster one server answers for all: they are set up alike. */
async function askServer(connection: RedisConnection, { admin }: Keyspace): Promise<Map<string, string>> {
  try {
    const texts = await Promise.all(
      ['persistence', 'memory'].map((section) => connection.send<string>(admin, ['INFO', section])),
    );
    const lines = texts.join('\r\n').split('\r\n');
    return new Map(lines.map((line) => line.split(':', 2) as [string, string]));
  } catch {
    return new Map();
  }
}
