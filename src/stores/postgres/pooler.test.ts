/** The contracts behind a proxy that gives each transaction to another connection, which need not know of statements. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { findPgBouncer, startPgBouncer } from '../../../test/pgbouncer.ts';
import { describePortable } from '../portable-store.contract.ts';
import { openPostgresStore } from '../postgres.ts';
import { describeStore } from '../store.contract.ts';
import { describeSharedStore } from '../store-leases.contract.ts';
import { createdSession, runTurn } from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const program = findPgBouncer();

if (program === undefined || skip !== false) {
  test('behind PgBouncer', {
    skip: skip || 'there is no PgBouncer on this machine: apt-get install pgbouncer',
  });
} else {
  const postgres = await testPostgres();
  const proxy = await startPgBouncer(program, postgres.url(), 3);
  after(proxy.stop);
  const through = (location: string): string => {
    const url = new URL(location);
    url.port = new URL(proxy.url).port;
    url.searchParams.set('prepare', 'false');
    return url.href;
  };
  const open = () => openPostgresStore(through(postgres.location()), PATIENT);
  describeStore('PostgreSQL behind PgBouncer', open);
  describePortable('PostgreSQL behind PgBouncer', open);
  describeSharedStore('PostgreSQL behind PgBouncer', async () => {
    const location = through(postgres.location());
    return [await openPostgresStore(location, PATIENT), await openPostgresStore(location, PATIENT)];
  });

  test('more servers than the proxy has connections start at once, and run turns', async () => {
    const location = through(postgres.location());
    const stores = await Promise.all(Array.from({ length: 5 }, () => openPostgresStore(location, PATIENT)));
    await Promise.all(
      stores.map(async (store) => {
        const sessions = await Promise.all(Array.from({ length: 20 }, () => createdSession(store)));
        for (const session of sessions) assert.ok(await runTurn(store, session));
      }),
    );
    await Promise.all(stores.map((store) => store.close()));
  });
}
