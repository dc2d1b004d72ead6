/** The outages of PostgreSQL in docs/outages.md, as the clients and the operator of one server see them, which is never restarted. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Client } from 'pg';
import {
  findPostgres,
  type PostgresServer,
  startPostgres,
  startStandby,
  unprivileged,
} from '../postgres-server.ts';
import { mountSmallDisk } from '../small-disk.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { startWitness, type Witness } from './outage-witness.ts';
import { startParley } from './parley-process.ts';

const skip =
  findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql';

describe('PostgreSQL out of service', { skip, timeout: 120_000 }, () => {
  let postgres: PostgresServer;
  let proxy: TcpProxy;
  let witness: Witness;
  before(async () => {
    postgres = await startPostgres();
    // Not the superuser, for whom some places are kept.
    await postgres.execute('CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE postgres TO app');
    proxy = await startTcpProxy(portOf(postgres));
    const url = `postgres://app@127.0.0.1:${proxy.port}/postgres`;
    witness = await startWitness((settings) => startParley({ ...settings, DATABASE_URL: url }));
  });
  // One that fails does not take the others with it.
  afterEach(() => {
    proxy.delay(0);
  });
  after(async () => {
    await witness.close();
    await proxy.close();
    await postgres.stop();
  });

  /** Connections that are there keep what held when they were made. */
  async function setReadOnly(value: 'on' | 'off'): Promise<void> {
    await postgres.execute(`ALTER ROLE app SET default_transaction_read_only = ${value}`);
    await endConnections();
  }

  async function endConnections(): Promise<void> {
    await postgres.execute(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'",
    );
  }

  async function tables(): Promise<string[]> {
    const rows = await postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'parley'");
    return rows.map(({ tablename }) => `parley.${String(tablename)}`);
  }

  test('PostgreSQL crashes, and is started again', async () => {
    const conversation = await witness.converse();
    const [cut, whole] = [await witness.held(), await witness.held()];
    const logged = witness.parley.logLines().length;
    await postgres.crash();
    await witness.assertOut(conversation, 'nothing');
    await witness.assertTurnFails(cut);
    await witness.assertToldOnce(logged);
    await postgres.start();
    await witness.assertBack(conversation);
    whole.goOn();
    await witness.assertTurnCompletes(whole);
    await witness.assertFailedTurnIsKept(cut);
    await witness.untilToldOver(logged);
  });

  test('PostgreSQL stands still', async () => {
    const conversation = await witness.converse();
    const goOn = await postgres.pause();
    await witness.assertOut(conversation, 'nothing').finally(goOn);
    await witness.assertBack(conversation);
  });

  test('PostgreSQL is slower than the time limit of calls', async () => {
    const conversation = await witness.converse();
    proxy.delay(600);
    await witness.assertOut(conversation, 'nothing');
    proxy.delay(0);
    await witness.assertBack(conversation);
  });

  test('PostgreSQL is slow, and within the time limit', async () => {
    await witness.assertSlow(() => proxy.delay(60));
    proxy.delay(0);
    await witness.ready();
  });

  test('connections to PostgreSQL are cut', async () => {
    await witness.assertHiccups(() => proxy.cut());
    await witness.assertHiccups(endConnections);
  });

  test('connections to PostgreSQL lead nowhere', async () => {
    await witness.assertHiccups(() => proxy.hold('requests', 'answers'));
  });

  test('a standby of PostgreSQL takes over', async () => {
    const standby = await startStandby(postgres);
    try {
      await postgres.execute("ALTER SYSTEM SET synchronous_standby_names = '*'");
      await postgres.execute('SELECT pg_reload_conf()');
      const waitsForIt = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
      while ((await postgres.execute(waitsForIt)).length === 0);
      const conversation = await witness.converse();
      await postgres.crash();
      proxy.lead(portOf(standby));
      while (!(await witness.canRead()));
      await witness.assertOut(conversation, 'reading');
      await standby.execute('SELECT pg_promote()');
      await witness.assertBack(conversation);
    } finally {
      await postgres.stop();
      postgres = standby;
    }
  });

  test('PostgreSQL is read-only', async () => {
    const conversation = await witness.converse();
    await setReadOnly('on');
    await witness.assertOut(conversation, 'reading');
    await setReadOnly('off');
    await witness.assertBack(conversation);
  });

  test('PostgreSQL has no connection left', async () => {
    const conversation = await witness.converse();
    await postgres.execute('ALTER ROLE app CONNECTION LIMIT 0');
    await endConnections();
    await witness.assertOut(conversation, 'nothing');
    await postgres.execute('ALTER ROLE app CONNECTION LIMIT -1');
    await witness.assertBack(conversation);
  });

  test('tables of PostgreSQL are locked', async () => {
    const conversation = await witness.converse();
    const operator = new Client({ connectionString: postgres.url() });
    await operator.connect();
    await operator.query(`BEGIN; LOCK TABLE ${(await tables()).join()}`);
    await witness.assertOut(conversation, 'nothing');
    await operator.query('ROLLBACK');
    await operator.end();
    await witness.assertBack(conversation);
  });

  test('the disk of PostgreSQL is full', async (t) => {
    const disk = mountSmallDisk(unprivileged());
    if (disk === null) return t.skip('no file system can be mounted here');
    try {
      await postgres.execute(`CREATE TABLESPACE small LOCATION '${disk.directory}'`);
      for (const table of await tables()) await postgres.execute(`ALTER TABLE ${table} SET TABLESPACE small`);
      const conversation = await witness.converse();
      disk.fill();
      await witness.talkUntilRefused(conversation);
      assert.equal(await witness.canRead(), true);
      disk.clear();
      await witness.assertBack(conversation);
    } finally {
      // Nothing may be left to write there.
      await postgres.crash();
      disk.remove();
    }
  });
});

function portOf(server: PostgresServer): number {
  return Number(new URL(server.url()).port);
}
