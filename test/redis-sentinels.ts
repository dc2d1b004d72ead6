/** A real master with a replica, and three sentinels that watch them: five processes (redis-server.ts). */

import { setTimeout as pause } from 'node:timers/promises';
import { type RedisServer, startRedis, startSentinel } from './redis-server.ts';

export interface RedisSentinels {
  /** By the addresses of the sentinels, with keys of its own for each call. */
  url(): string;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  /** From now on a master that is silent is replaced, or is not. At first it is not. */
  replaceDead(wanted: boolean): Promise<void>;
  /** Resolves when all sentinels say so. */
  untilMasterIs(server: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

/** What the sentinels know the master by. */
export const MASTER_NAME = 'conversations';

const SENTINELS = 3;
/** Milliseconds after which a master is taken to be dead. A replica that has missed it ten times as long is not promoted. */
const SILENT = 1000;
const NEVER = 3_600_000;
/** A replica is given what there is at once, and not only after others had time to come as well. */
const REPLICATED = ['--appendonly', 'yes', '--repl-diskless-sync-delay', '0'];
/**
 * Milliseconds. Sentinels look, ask and tell each other more often than they do by themselves, which takes seconds; and
 * one that had no time for a while, on a busy machine, does not take half a minute off.
 */
const QUICK = {
  'info-period': 200,
  'publish-period': 200,
  'ask-period': 100,
  'tilt-trigger': 600_000,
};

export async function startRedisSentinels(): Promise<RedisSentinels> {
  const [master, replica] = await Promise.all([startRedis(...REPLICATED), startRedis(...REPLICATED)]);
  await replica.command('REPLICAOF', '127.0.0.1', `${master.port}`);
  await until(async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'));
  const sentinels = await Promise.all(Array.from({ length: SENTINELS }, startSentinel));
  await Promise.all(sentinels.map((sentinel) => watch(sentinel, master.port)));
  await Promise.all(sentinels.map((sentinel) => until(() => knowsAll(sentinel))));
  const everywhere = (...words: string[]) =>
    Promise.all(sentinels.map((sentinel) => sentinel.command('SENTINEL', ...words)));

  return {
    url: () => urlOf(sentinels),
    master,
    replica,
    sentinels,
    async replaceDead(wanted) {
      // One finds it out and asks for the votes of the others; two that ask at the same time get half of them each.
      const patience = wanted ? SILENT : NEVER;
      const settings = ['quorum', '1', 'down-after-milliseconds', `${patience}`];
      await sentinels[0]!.command('SENTINEL', 'SET', MASTER_NAME, ...settings);
    },
    untilMasterIs: ({ port }) =>
      until(async () => {
        const named = await everywhere('GET-MASTER-ADDR-BY-NAME', MASTER_NAME);
        return named.every(([, at]) => at === `${port}`);
      }),
    async stop() {
      await Promise.all([...sentinels, replica, master].map((server) => server.stop()));
    },
  };
}

/** Has a sentinel watch the master at that port; what is read there may stand before the master itself. */
export async function watch(sentinel: RedisServer, port: number): Promise<void> {
  const periods = Object.entries(QUICK).flatMap(([name, milliseconds]) => [name, `${milliseconds}`]);
  await sentinel.command('SENTINEL', 'DEBUG', ...periods);
  await sentinel.command('SENTINEL', 'MONITOR', MASTER_NAME, '127.0.0.1', `${port}`, '2');
  const settings = ['down-after-milliseconds', `${NEVER}`, 'failover-timeout', '10000'];
  await sentinel.command('SENTINEL', 'SET', MASTER_NAME, ...settings);
}

/** For a store. @param parameters more of them, such as `&prefix=x:` */
export function urlOf(sentinels: readonly RedisServer[]): string {
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join();
  const [, query = ''] = sentinels[0]!.url().split('?');
  return `redis://${hosts}?sentinel=${MASTER_NAME}&${query}`;
}

async function knowsAll(sentinel: RedisServer): Promise<boolean> {
  const facts = await sentinel.command<string[]>('SENTINEL', 'MASTER', MASTER_NAME);
  const fact = (name: string) => facts[facts.indexOf(name) + 1];
  return fact('num-slaves') === '1' && fact('num-other-sentinels') === `${SENTINELS - 1}`;
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(50);
}
