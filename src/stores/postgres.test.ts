/**
 * The store on PostgreSQL: the contracts, in a database whose locale sorts bytes, and in one that sorts as people do.
 * What only this engine can do or suffer is in the files beside this one.
 */

import { describe } from 'node:test';
import { describeAdminStore } from './admin-store.contract.ts';
import { PATIENT, skip, testPostgres } from './postgres/samples.contract.ts';
import { openPostgresStore } from './postgres.ts';
import { describeStore } from './store.contract.ts';
import { describeSharedStore } from './store-leases.contract.ts';

const postgres = await testPostgres();

for (const [name, database] of [
  ['PostgreSQL', 'postgres'],
  ['PostgreSQL with the locale en-US', 'english'],
] as const) {
  describe(name, { skip }, () => {
    const open = () => openPostgresStore(postgres.location('', database), PATIENT);
    describeStore(name, open);
    describeAdminStore(name, open);
    describeSharedStore(name, async () => {
      const location = postgres.location('', database);
      return [await openPostgresStore(location, PATIENT), await openPostgresStore(location, PATIENT)];
    });
  });
}
