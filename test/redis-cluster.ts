/** A real Redis Cluster for tests: three masters, each with a replica, six processes in all (redis-server.ts). */

import { setTimeout as pause } from 'node:timers/promises';
import { type RedisServer, redisCommand, startRedis } from './redis-server.ts';

export interface RedisCluster {
  /** By the addresses of its first masters, with keys of its own for each call. */
  url(): string;
  /** The first three are masters, the others their replicas in the same order. */
  nodes: readonly RedisServer[];
  stop(): Promise<void>;
}

const MASTERS = 3;
const SLOTS = 16_384;
/** A node that was silent for a second is taken to be dead. */
const CLUSTERED =
  '--cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 1000 --appendonly yes'.split(
    ' ',
  );

export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await Promise.all(Array.from({ length: 2 * MASTERS }, () => startRedis(...CLUSTERED)));
  const [first] = nodes as [RedisServer];
  const say = (node: number, ...words: string[]) => nodes[node]!.command('CLUSTER', ...words);
  for (let node = 0; node < nodes.length; node += 1) await say(node, 'SET-CONFIG-EPOCH', `${node + 1}`);
  for (let master = 0; master < MASTERS; master += 1) {
    const bounds = [master, master + 1].map((edge) => Math.floor((edge * SLOTS) / MASTERS));
    await say(master, 'ADDSLOTSRANGE', `${bounds[0]}`, `${bounds[1]! - 1}`);
  }
  for (let node = 1; node < nodes.length; node += 1) {
    await say(0, 'MEET', '127.0.0.1', `${nodes[node]!.port}`, `${nodes[node]!.busPort}`);
  }
  const everybodyKnows = async () => {
    const texts = await Promise.all(nodes.map(({ port }) => redisCommand(port, 'CLUSTER', 'INFO')));
    return texts.every((text) => text.includes(`cluster_known_nodes:${nodes.length}`));
  };
  await until(everybodyKnows);
  for (let master = 0; master < MASTERS; master += 1) {
    await say(MASTERS + master, 'REPLICATE', await say(master, 'MYID'));
  }
  await until(async () => {
    const texts = await Promise.all(nodes.map(({ port }) => redisCommand(port, 'CLUSTER', 'INFO')));
    const replicas = await Promise.all(
      nodes.slice(MASTERS).map((node) => node.command('INFO', 'replication')),
    );
    return (
      texts.every((text) => text.includes('cluster_state:ok')) &&
      replicas.every((text) => text.includes('master_link_status:up'))
    );
  });

  return {
    url: () =>
      first.url().replace(`:${first.port}/`, `:${first.port},127.0.0.1:${nodes[1]!.port}/`) + '&cluster',
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Waits until the replica has all that its master has. */
export function untilReplicated(master: RedisServer, replica: RedisServer): Promise<void> {
  const offset = async (server: RedisServer, name: string) =>
    new RegExp(`${name}:(\\d+)`).exec(await server.command('INFO', 'replication'))?.[1];
  return until(
    async () => (await offset(master, 'master_repl_offset')) === (await offset(replica, 'slave_repl_offset')),
  );
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(50);
}
