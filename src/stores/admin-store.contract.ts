/** What every admin store must do: the sentences of admin-store.ts as tests. */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type ApiKey, type BypassEntry, type Client, NO_LIMITS } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { StoppedProvider } from '../conversation/stopped-provider.ts';
import type { OpenedStore } from './admin-store.ts';
import { everybodyTests } from './admin-store-everybody.contract.ts';
import { type Sentence, sampleEntry } from './admin-store-samples.contract.ts';
import { toolTests } from './admin-store-tools.contract.ts';
import { usageTests } from './admin-store-usage.contract.ts';
import { allPages, ids } from './store-samples.contract.ts';

export function sampleClient(change: Partial<Client> = {}): Client {
  const limits = { ...NO_LIMITS, rps: 0.5, burst: 3, tokensPerDay: 5_000_000_000 };
  return { id: newId(), name: 'Shop', limits, createdAt: 1000, updatedAt: 1000, ...change };
}

export function sampleApiKey(change: Partial<ApiKey> = {}): ApiKey {
  const times = { createdAt: 1000, expiresAt: 9000, revokedAt: null, lastUsedAt: null };
  return {
    id: newId(),
    clientId: newId(),
    prefix: 'abcdefgh',
    hash: newId(),
    note: 'A note',
    ...times,
    ...change,
  };
}

export function sampleBypass(change: Partial<BypassEntry> = {}): BypassEntry {
  return { network: '10.0.0.0/8', note: null, createdAt: 1000, expiresAt: null, ...change };
}

export function sampleStoppedProvider(change: Partial<StoppedProvider> = {}): StoppedProvider {
  return { provider: 'openai', note: 'Über "limits"', stoppedAt: 1000, ...change };
}

const ALL = { limit: 100, after: null, order: 'asc' } as const;

/** @param open gives a new, empty store; the suite closes it */
export function describeAdminStore(name: string, open: (context: TestContext) => Promise<OpenedStore>): void {
  describe(`what operators keep: ${name}`, () => {
    for (const [sentence, check] of sentences) {
      test(sentence, async (context) => {
        const store = await open(context);
        try {
          await check(store.admin, store);
        } finally {
          await store.close();
        }
      });
    }
  });
}

const clientTests: Sentence[] = [
  [
    'a client comes back as it was saved, and changes all but its making',
    async (store) => {
      const client = sampleClient();
      await store.saveClient(client, sampleEntry());
      assert.deepEqual(await store.listClients(ALL), { data: [client], hasMore: false });
      const limits = { ...NO_LIMITS, burst: 7.5, concurrentTurns: 2, tokensPerMinute: 1000 };
      const changed = { ...client, name: 'Ünïcode "shop"', limits, updatedAt: 2000 };
      await store.saveClient({ ...changed, createdAt: 2000 }, sampleEntry());
      assert.deepEqual((await store.listClients(ALL)).data, [changed]);
    },
  ],
  [
    'clients are listed by id in both directions, page by page, though the cursor be gone',
    async (store) => {
      const clients = Array.from({ length: 5 }, () => sampleClient());
      for (const client of clients.toReversed()) await store.saveClient(client, sampleEntry());
      const inOrder = ids(clients);
      for (const order of ['asc', 'desc'] as const) {
        const read = (after: string | null) => store.listClients({ limit: 2, after, order });
        const expected = order === 'asc' ? inOrder : inOrder.toReversed();
        assert.deepEqual(ids(await allPages(read, ({ id }) => id)), expected);
      }
      await store.deleteClient(inOrder[2]!, 1000, sampleEntry());
      const page = await store.listClients({ limit: 2, after: inOrder[2]!, order: 'asc' });
      assert.deepEqual([ids(page.data), page.hasMore], [inOrder.slice(3), false]);
    },
  ],
  [
    'deleting a client revokes its keys that were good, and no others',
    async (store) => {
      const [client, other] = [sampleClient(), sampleClient()];
      const good = sampleApiKey({ clientId: client.id });
      const inGrace = sampleApiKey({ clientId: client.id, revokedAt: 6000 });
      const revoked = sampleApiKey({ clientId: client.id, revokedAt: 4000 });
      const foreign = sampleApiKey({ clientId: other.id });
      for (const one of [client, other]) await store.saveClient(one, sampleEntry());
      await store.saveKeys([good, inGrace, revoked, foreign], sampleEntry());
      assert.equal(await store.deleteClient(client.id, 5000, sampleEntry()), true);
      assert.deepEqual((await store.listClients(ALL)).data, [other]);
      const expected = [{ ...good, revokedAt: 5000 }, { ...inGrace, revokedAt: 5000 }, revoked, foreign];
      assert.deepEqual(await store.listKeys(), expected);
    },
  ],
  [
    'deleting a client that is not there changes nothing and is not in the log',
    async (store) => {
      const key = sampleApiKey();
      await store.saveKeys([key], sampleEntry());
      assert.equal(await store.deleteClient(key.clientId, 5000, sampleEntry()), false);
      assert.deepEqual(await store.listKeys(), [key]);
      assert.equal((await store.listAudit(ALL)).data.length, 1);
    },
  ],
];

const keyTests: Sentence[] = [
  [
    'keys come back as they were saved, by id',
    async (store) => {
      const bare = { note: null, expiresAt: null, revokedAt: 3000, lastUsedAt: 2000 };
      const keys = [sampleApiKey(), sampleApiKey(bare), sampleApiKey()];
      await store.saveKeys(keys.toReversed(), sampleEntry());
      assert.deepEqual(await store.listKeys(), keys);
    },
  ],
  [
    'a key that is saved again changes its note and its end, and nothing else; others are added beside it',
    async (store) => {
      const key = sampleApiKey();
      await store.saveKeys([key], sampleEntry());
      await store.noteKeyUses(new Map([[key.id, 2000]]));
      const change = { note: 'Another', expiresAt: null, revokedAt: 3000 };
      const different = { clientId: 'x', prefix: 'x', hash: 'x', createdAt: 1, lastUsedAt: null };
      const added = sampleApiKey();
      await store.saveKeys([{ ...key, ...different, ...change }, added], sampleEntry());
      assert.deepEqual(await store.listKeys(), [{ ...key, ...change, lastUsedAt: 2000 }, added]);
    },
  ],
  [
    'the last use of a key only moves on, and one of a key that is not there is nothing',
    async (store) => {
      const [one, other] = [sampleApiKey(), sampleApiKey()];
      await store.saveKeys([one, other], sampleEntry());
      await store.noteKeyUses(new Map([...[one, other].map(({ id }) => [id, 5000] as const), ['x', 5000]]));
      await store.noteKeyUses(
        new Map([
          [one.id, 4000],
          [other.id, 6000],
        ]),
      );
      await store.noteKeyUses(new Map());
      const used = [
        { ...one, lastUsedAt: 5000 },
        { ...other, lastUsedAt: 6000 },
      ];
      assert.deepEqual(await store.listKeys(), used);
    },
  ],
];

const otherTests: Sentence[] = [
  [
    'networks that are not limited are kept once each, and listed by network',
    async (store) => {
      const [late, early] = [sampleBypass({ network: '::1' }), sampleBypass()];
      await store.saveBypass(late, sampleEntry());
      await store.saveBypass(early, sampleEntry());
      const replaced = sampleBypass({ note: 'Monitoring', createdAt: 2000, expiresAt: 3000 });
      await store.saveBypass(replaced, sampleEntry());
      assert.deepEqual(await store.listBypass(), [replaced, late]);
      assert.equal(await store.deleteBypass('::1', sampleEntry()), true);
      assert.equal(await store.deleteBypass('::1', sampleEntry()), false);
      assert.deepEqual(await store.listBypass(), [replaced]);
      assert.equal((await store.listAudit(ALL)).data.length, 4);
    },
  ],
  [
    'providers that are out of service are kept once each, and listed by name',
    async (store) => {
      const [late, early] = [sampleStoppedProvider({ provider: 'openrouter' }), sampleStoppedProvider()];
      await store.saveStoppedProvider(late, sampleEntry());
      await store.saveStoppedProvider(early, sampleEntry());
      const replaced = sampleStoppedProvider({ note: null, stoppedAt: 2000 });
      await store.saveStoppedProvider(replaced, sampleEntry());
      assert.deepEqual(await store.listStoppedProviders(), [replaced, late]);
      assert.equal(await store.deleteStoppedProvider('openrouter', sampleEntry()), true);
      assert.equal(await store.deleteStoppedProvider('openrouter', sampleEntry()), false);
      assert.deepEqual(await store.listStoppedProviders(), [replaced]);
      assert.equal((await store.listAudit(ALL)).data.length, 4);
    },
  ],
  [
    'every change has its entry in the log, which is read newest first or oldest first, page by page',
    async (store) => {
      const client = sampleClient();
      const entries = Array.from({ length: 8 }, (_, index) => sampleEntry({ at: 9000 - index }));
      const [first, second, third, fourth, fifth, sixth, seventh, eighth] = entries;
      await store.saveClient(client, first!);
      await store.saveKeys([sampleApiKey()], second!);
      await store.saveBypass(sampleBypass(), third!);
      await store.deleteBypass(sampleBypass().network, fourth!);
      await store.deleteClient(client.id, 5000, fifth!);
      await store.saveStoppedProvider(sampleStoppedProvider(), sixth!);
      await store.deleteStoppedProvider(sampleStoppedProvider().provider, seventh!);
      await store.saveAudit(eighth!);
      assert.deepEqual((await store.listAudit(ALL)).data, entries);
      const read = (after: string | null) => store.listAudit({ limit: 2, after, order: 'desc' });
      assert.deepEqual(await allPages(read, ({ id }) => id), entries.toReversed());
    },
  ],
  [
    'a change whose entry cannot be written has not happened',
    async (store) => {
      const client = sampleClient();
      const entry = sampleEntry();
      await store.saveClient(client, entry);
      const key = sampleApiKey({ clientId: client.id });
      await store.saveKeys([key], sampleEntry());
      await store.saveBypass(sampleBypass(), sampleEntry());
      await store.saveStoppedProvider(sampleStoppedProvider(), sampleEntry());
      // The entry's id is taken. A change that comes at the same time is none the worse for it.
      const another = sampleBypass({ network: '::1' });
      const outcomes = await Promise.allSettled([
        store.saveClient({ ...client, name: 'Other' }, entry),
        store.deleteClient(client.id, 5000, entry),
        store.saveKeys([sampleApiKey()], entry),
        store.saveBypass(sampleBypass({ note: 'Other' }), entry),
        store.deleteBypass(sampleBypass().network, entry),
        store.saveStoppedProvider(sampleStoppedProvider({ note: 'Other' }), entry),
        store.deleteStoppedProvider(sampleStoppedProvider().provider, entry),
        store.saveAudit(entry),
        store.saveBypass(another, sampleEntry()),
      ]);
      const rejected = outcomes.map(({ status }) => status === 'rejected');
      assert.deepEqual(rejected, [...Array.from({ length: 8 }, () => true), false]);
      assert.deepEqual((await store.listClients(ALL)).data, [client]);
      assert.deepEqual(await store.listKeys(), [key]);
      assert.deepEqual(await store.listBypass(), [sampleBypass(), another]);
      assert.deepEqual(await store.listStoppedProviders(), [sampleStoppedProvider()]);
      assert.equal((await store.listAudit(ALL)).data.length, 5);
    },
  ],
];

const sentences = [
  ...clientTests,
  ...keyTests,
  ...otherTests,
  ...toolTests,
  ...everybodyTests,
  ...usageTests,
];
