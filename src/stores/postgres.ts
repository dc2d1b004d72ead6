/**
 * The store on PostgreSQL, which other servers may use at the same time. This file is the surface. In postgres/, calls are
 * in sessions.ts, turns.ts, items.ts and admin.ts, moving in dump.ts and restore.ts, connections and deadlines in connections.ts,
 * and what runs in the database in the files that schema.ts names.
 */

import { Client } from 'pg';
import type { OpenedStore } from './admin-store.ts';
import { dumpFrom } from './portable-dump.ts';
import { restoreInto } from './portable-restore.ts';
import { createPostgresAdmin } from './postgres/admin.ts';
import { clientConfig, openConnections, type Statement } from './postgres/connections.ts';
import { createPostgresDump } from './postgres/dump.ts';
import { createPostgresItems } from './postgres/items.ts';
import { parsePostgresLocation } from './postgres/location.ts';
import { openPostgresRestore } from './postgres/restore.ts';
import { migrate } from './postgres/schema.ts';
import { createPostgresSessions } from './postgres/sessions.ts';
import { createPostgresTurns } from './postgres/turns.ts';

export interface PostgresOptions {
  /** After so long a call is cut, and rejects with `store_unavailable`. */
  timeoutMilliseconds: number;
}

/**
 * Opens the store at `postgres://user:password@host:port/database`, whose tables are made or brought up to date; see
 * postgres/location.ts for what else the URL may say. Rejects with an `Error` for the operator if the database cannot
 * be reached, is a newer Parley's, or the schema is somebody else's.
 */
export async function openPostgresStore(
  location: string,
  { timeoutMilliseconds }: PostgresOptions,
): Promise<OpenedStore> {
  const options = { ...parsePostgresLocation(location), timeoutMilliseconds };
  // Migrations take the time they need, and whoever waits for another server's waits for all of it.
  let client: Client | undefined;
  try {
    // It reads the certificates that the URL names.
    client = new Client({ ...clientConfig(options), statement_timeout: 0 });
    client.on('error', () => undefined);
    await client.connect();
    await migrate(client, options.schema);
  } catch (error) {
    throw new Error(`The PostgreSQL of DATABASE_URL cannot be used: ${reasonOf(error)}`, { cause: error });
  } finally {
    await client?.end().catch(() => undefined);
  }

  const connections = openConnections(options);
  const schema = `"${options.schema}"`;
  const sessions = createPostgresSessions(connections, schema);
  const turns = createPostgresTurns(connections, schema);
  const items = createPostgresItems(connections, schema);
  const admin = createPostgresAdmin(connections, schema);
  const dump = createPostgresDump(connections, schema);
  // Writes, and syncs: what would fail a turn, a full disk included, fails this.
  const probe: Statement<never> = {
    name: 'probe',
    text: `UPDATE ${schema}.parley_version SET probed_at = clock_timestamp()`,
  };

  return {
    isShared: true,
    createSession: (session, ended = [], key = null) => sessions.create(session, ended, key),
    findSession: sessions.findUnder,
    getSession: sessions.get,
    listSessions: sessions.list,
    updateSession: sessions.update,
    deleteSession: sessions.remove,
    beginTurn: turns.begin,
    commitTurn: turns.commit,
    noteCalls: turns.noteCalls,
    renewTurns: turns.renewTurns,
    cancelTurn: turns.cancelTurn,
    leaveLine: turns.leaveLine,
    getTurn: turns.get,
    listTurns: turns.list,
    listItems: turns.listItems,
    deleteItem: items.remove,
    readPath: turns.readPath,
    failInterrupted: turns.failInterrupted,
    sweep: sessions.sweep,
    async ping() {
      await connections.run(probe);
    },
    admin,
    portable: {
      countSessions: dump.countSessions,
      dump: (moment) => dumpFrom(dump, admin, moment),
      async restore(records) {
        // What would fail a turn fails this, and a store that is closed.
        await connections.run(probe);
        return restoreInto(await openPostgresRestore(options, schema, admin), records);
      },
    },
    close: connections.close,
  };
}

/** A host with several addresses fails with an error for each, and no message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
