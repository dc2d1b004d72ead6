/**
 * The store on Redis 7 or Valkey, which any number of servers share. This file is the surface; what lies where is in
 * redis/keyspace.ts, and what a method does in the file of its subject. How the address is written is in
 * ../redis/location.ts.
 *
 * A turn's beginning and its end are one script each, in one slot and so in one step. What spans slots, the lists of an
 * owner and the keys of sessions, is done in an order from which the sweep can finish it (redis/listing.ts).
 *
 * What "durable" means is up to Redis. With `appendonly yes` and `appendfsync always` nothing that was acknowledged is
 * lost. With `appendfsync everysec` a crash of Redis alone loses nothing, and a power cut the last second. Without
 * `appendonly` whatever came after the last snapshot is lost whenever Redis stops; then the log warns. A replica is
 * written to after the answer: a failover loses what had not reached it. `WAIT` is not used; `min-replicas-to-write`
 * bounds what a master acknowledges that was cut off. Turns are fenced by numbers that grow with the session, so that
 * what a failover has lost cannot be committed to.
 */

import type { Session } from '../conversation/session.ts';
import { AppError } from '../errors.ts';
import { openConnection, type RedisConnection } from '../redis/connection.ts';
import { parseRedisLocation } from '../redis/location.ts';
import type { AdminStore, OpenedStore } from './admin-store.ts';
import { dumpFrom } from './portable-dump.ts';
import { restoreInto } from './portable-restore.ts';
import { createRedisAdmin } from './redis/admin.ts';
import { createRedisDump } from './redis/dump.ts';
import { createRedisEverybody } from './redis/everybody.ts';
import { createRedisItems } from './redis/items.ts';
import { createKeyspace, type Keyspace } from './redis/keyspace.ts';
import { createRedisListing } from './redis/listing.ts';
import { createRedisPaths } from './redis/paths.ts';
import { findPersistenceProblems } from './redis/persistence.ts';
import { createRedisRestore } from './redis/restore.ts';
import { createRedisSessions } from './redis/sessions.ts';
import { createRedisSweep } from './redis/sweep.ts';
import { createRedisTurns } from './redis/turns.ts';
import { createRedisUsage } from './redis/usage.ts';
import type { StoreLog } from './store-log.ts';

export interface RedisStoreOptions {
  log?: StoreLog | undefined;
  /** After which a round trip is given up. */
  timeoutMilliseconds?: number | undefined;
}

const TIMEOUT_MILLISECONDS = 2000;

/** Opens the store. Rejects with an `Error` for the operator if the address is wrong or Redis cannot be used. */
export async function openRedisStore(url: string, options: RedisStoreOptions = {}): Promise<OpenedStore> {
  const location = parseRedisLocation(url);
  const connection = await openConnection(location, options.timeoutMilliseconds ?? TIMEOUT_MILLISECONDS);
  const keyspace = createKeyspace(location.prefix);
  for (const problem of await findPersistenceProblems(connection, keyspace)) options.log?.warn(problem);
  return createRedisStore(connection, keyspace);
}

function createRedisStore(connection: RedisConnection, keyspace: Keyspace): OpenedStore {
  const listing = createRedisListing(connection, keyspace);
  const sessions = createRedisSessions(connection, keyspace, listing);
  const turns = createRedisTurns(connection, keyspace);
  const items = createRedisItems(connection, keyspace);
  const paths = createRedisPaths(connection, keyspace);
  const { sweep } = createRedisSweep(connection, keyspace, listing, sessions);
  const everybody = createRedisEverybody(connection, keyspace);
  const usage = createRedisUsage(connection, keyspace);
  const admin: AdminStore = createRedisAdmin(connection, keyspace, {
    everybody,
    usage,
    remove: sessions.remove,
  });
  const dump = createRedisDump(connection, keyspace, { listing, everybody, usage });
  const calls = createCalls();

  return {
    isShared: true,
    ...calls.counted({
      createSession: (session: Session, ended = [], key = null) => sessions.create(session, ended, key),
      findSession: sessions.findUnder,
      getSession: listing.find,
      listSessions: listing.page,
      updateSession: sessions.update,
      deleteSession: sessions.remove,
      beginTurn: turns.begin,
      commitTurn: turns.commit,
      noteCalls: turns.noteCalls,
      renewTurns: turns.renew,
      cancelTurn: turns.cancel,
      leaveLine: turns.leaveLine,
      getTurn: turns.get,
      listTurns: turns.list,
      listItems: paths.listItems,
      deleteItem: items.remove,
      readPath: paths.read,
      failInterrupted: turns.failInterrupted,
      sweep,
      ping,
    } satisfies Omit<OpenedStore, 'isShared' | 'admin' | 'portable' | 'close'>),
    admin: calls.counted(admin),
    portable: {
      countSessions: dump.countSessions,
      dump: (moment) => dumpFrom(dump, admin, moment),
      restore: (records) =>
        restoreInto(createRedisRestore(connection, keyspace, { everybody, sessions, usage }), records),
    },
    async close() {
      await calls.end();
      connection.close();
    },
  };

  /** A write, which a server refuses that is full or read-only; on a cluster one to every server that holds sessions. */
  async function ping(): Promise<void> {
    const asked = connection.isCluster ? keyspace.buckets : keyspace.buckets.slice(0, 1);
    const probes = asked.map(({ base }) => {
      const key = `${base}probe`;
      return connection.send(key, ['SET', key, '']);
    });
    await Promise.all(probes);
  }
}

type Methods = Record<string, (...parameters: never[]) => Promise<unknown>>;

/** Counts what is under way, so that a store can be closed when all of it is done. A call may be several round trips. */
function createCalls() {
  const underWay = new Set<Promise<unknown>>();
  let isOver = false;
  return { counted, end };

  function counted<Counted extends object>(methods: Counted): Counted {
    const entries = Object.entries(methods as unknown as Methods).map(([name, method]) => [
      name,
      (...parameters: never[]) => call(() => method(...parameters)),
    ]);
    return Object.fromEntries(entries);
  }

  async function call(work: () => Promise<unknown>): Promise<unknown> {
    if (isOver)
      throw new AppError('store_unavailable', undefined, { cause: new Error('The store is closed.') });
    const one = work();
    underWay.add(one);
    try {
      return await one;
    } finally {
      underWay.delete(one);
    }
  }

  /** Refuses further calls and waits for those under way. */
  async function end(): Promise<void> {
    isOver = true;
    await Promise.allSettled(underWay);
  }
}
