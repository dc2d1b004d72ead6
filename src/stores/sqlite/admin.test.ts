/** What operators keep, on SQLite: the contract, in memory and in a file, and what is left when a file is closed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  describeAdminStore,
  sampleApiKey,
  sampleBypass,
  sampleClient,
  sampleStoppedProvider,
} from '../admin-store.contract.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { sampleTotal } from '../admin-store-usage.contract.ts';
import { openMemoryStore, openSqliteStore } from '../sqlite.ts';
import { rejectsWith } from '../store-samples.contract.ts';
import { temporaryDatabase } from './samples.contract.ts';

describeAdminStore('SQLite in memory', () => Promise.resolve(openMemoryStore()));
describeAdminStore('SQLite in a file', (context) =>
  Promise.resolve(openSqliteStore(temporaryDatabase(context))),
);

test('what operators keep is there after closing and opening again', async (context) => {
  const location = temporaryDatabase(context);
  const first = openSqliteStore(location);
  const [client, bypass] = [sampleClient(), sampleBypass()];
  const key = sampleApiKey({ clientId: client.id });
  const entries = [sampleEntry(), sampleEntry(), sampleEntry(), sampleEntry()] as const;
  await first.admin.saveClient(client, entries[0]);
  await first.admin.saveKeys([key], entries[1]);
  await first.admin.saveBypass(bypass, entries[2]);
  await first.admin.saveStoppedProvider(sampleStoppedProvider(), entries[3]);
  await first.admin.noteKeyUses(new Map([[key.id, 5000]]));
  await first.admin.saveUsage([sampleTotal()]);
  await first.close();
  await rejectsWith(first.admin.listKeys(), 'store_unavailable');
  await rejectsWith(first.admin.saveBypass(bypass, sampleEntry()), 'store_unavailable');

  const { admin, close } = openSqliteStore(location);
  context.after(close);
  const page = { limit: 9, after: null, order: 'asc' } as const;
  assert.deepEqual((await admin.listClients(page)).data, [client]);
  assert.deepEqual(await admin.listKeys(), [{ ...key, lastUsedAt: 5000 }]);
  assert.deepEqual(await admin.listBypass(), [bypass]);
  assert.deepEqual(await admin.listStoppedProviders(), [sampleStoppedProvider()]);
  assert.deepEqual((await admin.listAudit(page)).data, entries);
  const day = { from: '2026-11-25', to: '2026-11-25', owner: null, by: [], limit: 1 };
  assert.equal((await admin.readUsage(day)).data[0]?.inputTokens, sampleTotal().inputTokens);
});
