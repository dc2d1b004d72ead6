/** A real Redis Cluster for tests: three masters, each with a replica, six processes in all (redis-server.ts). */

import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { type RedisServer, startRedis } from './redis-server.ts';

export interface RedisCluster {
  /** By the addresses of its first masters, with keys of its own for each call. */
  url(): string;
  /** The first three are masters, the others their replicas in the same order. */
  nodes: readonly RedisServer[];
  stop(): Promise<void>;
}

const MASTERS = 3;
const SLOTS = 16_384;
/**
 * A node that was silent for a second is taken to be dead. A replica is given what there is at once, and not only after
 * others had time to come as well.
 */
const CLUSTERED = [
  '--cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 1000',
  '--appendonly yes --repl-diskless-sync-delay 0',
].flatMap((options) => options.split(' '));

export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await Promise.all(Array.from({ length: 2 * MASTERS }, () => startRedis(...CLUSTERED)));
  const [first] = nodes as [RedisServer];
  await join(nodes);

  return {
    url: () =>
      first.url().replace(`:${first.port}/`, `:${first.port},127.0.0.1:${nodes[1]!.port}/`) + '&cluster',
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Makes one cluster of them; resolves when all agree on it, and the replicas have what their masters have. */
async function join(nodes: readonly RedisServer[]): Promise<void> {
  // They are asked often, and a connection for each question would be most of the work.
  const operators = await Promise.all(
    nodes.map(({ port }) => createClient({ RESP: 2, socket: { host: '127.0.0.1', port } }).connect()),
  );
  try {
    await formed(nodes, (node, ...words) => operators[node]!.sendCommand(words));
  } finally {
    for (const operator of operators) operator.destroy();
  }
}

/** @param say a command to one of them, by its number */
async function formed(
  nodes: readonly RedisServer[],
  say: (node: number, ...words: string[]) => Promise<string>,
): Promise<void> {
  const all = (...words: string[]) => Promise.all(nodes.map((_, node) => say(node, ...words)));
  for (let node = 0; node < nodes.length; node += 1) {
    await say(node, 'CLUSTER', 'SET-CONFIG-EPOCH', `${node + 1}`);
  }
  for (let master = 0; master < MASTERS; master += 1) {
    const bounds = [master, master + 1].map((edge) => Math.floor((edge * SLOTS) / MASTERS));
    await say(master, 'CLUSTER', 'ADDSLOTSRANGE', `${bounds[0]}`, `${bounds[1]! - 1}`);
  }
  for (const { port, busPort } of nodes.slice(1)) {
    await say(0, 'CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${busPort}`);
  }
  await until(async () => {
    const texts = await all('CLUSTER', 'INFO');
    return texts.every((text) => text.includes(`cluster_known_nodes:${nodes.length}`));
  });
  for (let master = 0; master < MASTERS; master += 1) {
    await say(MASTERS + master, 'CLUSTER', 'REPLICATE', await say(master, 'CLUSTER', 'MYID'));
  }
  await until(async () => {
    const texts = await all('CLUSTER', 'INFO');
    const replicas = (await all('INFO', 'replication')).slice(MASTERS);
    return (
      texts.every((text) => text.includes('cluster_state:ok')) &&
      replicas.every((text) => text.includes('master_link_status:up'))
    );
  });
}

/** Waits until the replica has all that its master has now. */
export async function untilReplicated(master: RedisServer, replica: RedisServer): Promise<void> {
  const offset = async (server: RedisServer, name: string) =>
    Number(new RegExp(`${name}:(\\d+)`).exec(await server.command('INFO', 'replication'))?.[1] ?? -1);
  const now = await offset(master, 'master_repl_offset');
  await until(async () => (await offset(replica, 'slave_repl_offset')) >= now);
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(50);
}
