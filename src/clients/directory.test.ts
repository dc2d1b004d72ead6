import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { NO_LIMITS } from '../conversation/client.ts';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';
import { openStore } from '../stores/open-store.ts';
import { createDirectory, type DirectoryOptions } from './directory.ts';
import { hashKey, newKeyText } from './key-text.ts';

const PAGE = { limit: 100, after: null, order: 'asc' } as const;
const START = 1_000_000;

/** A directory on a store in memory, and a clock that the test moves. */
async function setUp(context: TestContext, options: Partial<DirectoryOptions> = {}) {
  const store = await openStore('memory:');
  const clock = { now: START };
  const open = (more: Partial<DirectoryOptions> = {}) =>
    createDirectory({
      adminStore: store.admin,
      staticKeys: [],
      now: () => clock.now,
      ...options,
      ...more,
    });
  const directory = await open();
  context.after(async () => {
    await directory.close();
    await store.close();
  });
  const kindOf = (text: string) => directory.identify(text).kind;
  const audit = async () => (await store.admin.listAudit(PAGE)).data;
  return { directory, admin: store.admin, clock, open, kindOf, audit };
}

const isError = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('a key is known from its making until it is revoked, and nobody else is', async (context) => {
  const { directory, clock, kindOf } = await setUp(context);
  const client = await directory.createClient({ name: 'Shop', limits: { burst: 5 } });
  const limits = { ...NO_LIMITS, burst: 5 };
  assert.deepEqual(client, { id: client.id, name: 'Shop', limits, createdAt: START, updatedAt: START });
  const { key, text } = await directory.createKey(client.id, { note: 'Till' });
  assert.equal(key.prefix, text.slice(3, 11));
  const known = { id: client.id, name: 'Shop', limits };
  assert.deepEqual(directory.identify(text), { kind: 'client', client: known, keyId: key.id });
  for (const other of [newKeyText(), text.toLowerCase(), `${text} `, key.prefix, hashKey(text), '']) {
    assert.equal(kindOf(other), 'unknown', other);
  }
  clock.now += 1;
  await directory.revokeKey(key.id);
  assert.equal(kindOf(text), 'revoked');
  const [listed] = directory.listKeys(client.id);
  assert.deepEqual([listed!.revokedAt, listed!.lastUsedAt], [START + 1, START]);
});

test('an owner is called as its client is, as long as there is one', async (context) => {
  const { directory } = await setUp(context, { staticKeys: [{ name: 'bob', key: 'key-of-bob' }] });
  const { id } = await directory.createClient({ name: 'Shop' });
  assert.deepEqual(['static:bob', id].map(directory.nameOf), ['bob', 'Shop']);
  for (const owner of ['bob', 'static:ada', 'open', '', '__proto__'])
    assert.equal(directory.nameOf(owner), null);
  await directory.updateClient(id, { name: 'Stall' });
  assert.equal(directory.nameOf(id), 'Stall');
  await directory.deleteClient(id);
  assert.equal(directory.nameOf(id), null);
});

test('a key expires to the millisecond; one that is revoked as well says so', async (context) => {
  const { directory, clock, kindOf } = await setUp(context);
  const { id } = await directory.createClient({ name: 'Shop' });
  const { key, text } = await directory.createKey(id, { expiresAt: START + 10 });
  clock.now = START + 9;
  assert.equal(kindOf(text), 'client');
  clock.now = START + 10;
  assert.equal(kindOf(text), 'expired');
  await directory.revokeKey(key.id);
  assert.equal(kindOf(text), 'revoked');
});

test('a rotated key is good for its grace, and the new one as long as the old one was', async (context) => {
  const { directory, clock, kindOf } = await setUp(context);
  const { id } = await directory.createClient({ name: 'Shop' });
  const first = await directory.createKey(id, { note: 'Till', expiresAt: START + 50_000 });
  clock.now += 20_000;
  const second = await directory.rotateKey(first.key.id, 10);
  assert.deepEqual([second.key.note, second.key.expiresAt], ['Till', START + 70_000]);
  clock.now += 9999;
  assert.deepEqual(
    [first, second].map(({ text }) => kindOf(text)),
    ['client', 'client'],
  );
  clock.now += 1;
  assert.deepEqual(
    [first, second].map(({ text }) => kindOf(text)),
    ['revoked', 'client'],
  );
  await assert.rejects(directory.rotateKey(first.key.id), isError('key_not_found'));
  const third = await directory.rotateKey(second.key.id);
  assert.deepEqual(
    [second, third].map(({ text }) => kindOf(text)),
    ['revoked', 'client'],
  );
  // One that has expired can still be replaced, and a grace does not bring it back.
  clock.now += 50_000;
  const fourth = await directory.rotateKey(third.key.id, 100);
  assert.deepEqual(
    [third, fourth].map(({ text }) => kindOf(text)),
    ['expired', 'client'],
  );
});

test('a grace is not made longer by another rotation, and ends at once with a revocation', async (context) => {
  const { directory, clock, kindOf } = await setUp(context);
  const { id } = await directory.createClient({ name: 'Shop' });
  const { key, text } = await directory.createKey(id);
  await directory.rotateKey(key.id, 10);
  await directory.rotateKey(key.id, 1000);
  clock.now += 10_000;
  assert.equal(kindOf(text), 'revoked');
  const other = await directory.createKey(id);
  await directory.rotateKey(other.key.id, 1000);
  await directory.revokeKey(other.key.id);
  assert.equal(kindOf(other.text), 'revoked');
});

test('a change of a client holds for its keys at once, and leaves what it does not name', async (context) => {
  const { directory, clock } = await setUp(context);
  const client = await directory.createClient({ name: 'Shop', limits: { rps: 2, burst: 5 } });
  const { key, text } = await directory.createKey(client.id);
  clock.now += 1;
  const limits = { ...NO_LIMITS, burst: 5 };
  const expected = { ...client, limits, updatedAt: START + 1 };
  assert.deepEqual(await directory.updateClient(client.id, { limits: { rps: null } }), expected);
  await directory.updateClient(client.id, { name: 'Other' });
  const known = { id: client.id, name: 'Other', limits };
  assert.deepEqual(directory.identify(text), { kind: 'client', client: known, keyId: key.id });
  assert.deepEqual((await directory.listClients(PAGE)).data, [{ ...expected, name: 'Other' }]);
});

test('changes that come at once are made one after another', async (context) => {
  const { directory } = await setUp(context);
  const { id } = await directory.createClient({ name: 'Shop' });
  await Promise.all([
    directory.updateClient(id, { name: 'Other' }),
    directory.updateClient(id, { limits: { rps: 1 } }),
    directory.updateClient(id, { limits: { burst: 2 } }),
  ]);
  const [client] = (await directory.listClients(PAGE)).data;
  assert.deepEqual([client!.name, client!.limits], ['Other', { ...NO_LIMITS, rps: 1, burst: 2 }]);
});

test('the keys of a deleted client are revoked, and those of others are not', async (context) => {
  const { directory, kindOf } = await setUp(context);
  const [shop, other] = [
    await directory.createClient({ name: 'Shop' }),
    await directory.createClient({ name: 'Shop' }),
  ];
  const keys = [await directory.createKey(shop.id), await directory.createKey(other.id)];
  await directory.deleteClient(shop.id);
  assert.deepEqual(
    keys.map(({ text }) => kindOf(text)),
    ['revoked', 'client'],
  );
  assert.throws(() => directory.listKeys(shop.id), isError('client_not_found'));
});

test('what is not there is said to be missing', async (context) => {
  const { directory, audit } = await setUp(context, { staticKeys: [{ name: 'ada', key: 'secret' }] });
  for (const id of ['', 'x', '__proto__', 'static:ada']) {
    assert.throws(() => directory.listKeys(id), isError('client_not_found'));
    await assert.rejects(directory.createKey(id), isError('client_not_found'));
    await assert.rejects(directory.updateClient(id, { name: 'x' }), isError('client_not_found'));
    await assert.rejects(directory.deleteClient(id), isError('client_not_found'));
    await assert.rejects(directory.rotateKey(id), isError('key_not_found'));
    await assert.rejects(directory.revokeKey(id), isError('key_not_found'));
  }
  assert.deepEqual(await audit(), []);
});

test('keys of the settings are clients of their own, which no change reaches', async (context) => {
  const staticKeys = [
    { name: 'ada', key: 'key-of-ada' },
    { name: 'bob', key: 'key-of-bob' },
  ];
  const { directory, kindOf } = await setUp(context, { staticKeys });
  const client = { id: 'static:bob', name: 'bob', limits: NO_LIMITS };
  assert.deepEqual(directory.identify('key-of-bob'), { kind: 'client', client, keyId: 'static:bob' });
  assert.equal(kindOf('bob:key-of-bob'), 'unknown');
  const managed = await directory.createClient({ name: 'ada' });
  assert.equal(kindOf((await directory.createKey(managed.id)).text), 'client');
  assert.deepEqual((await directory.listClients(PAGE)).data, [managed]);
});

test('a server is open until there is a key, and stays closed when that is gone', async (context) => {
  const { directory, open, clock } = await setUp(context);
  assert.equal(directory.isOpen(), true);
  const { id } = await directory.createClient({ name: 'Shop' });
  assert.equal(directory.isOpen(), true);
  const { key } = await directory.createKey(id, { expiresAt: START + 1 });
  assert.equal(directory.isOpen(), false);
  clock.now += 1;
  assert.equal(directory.isOpen(), false);
  await directory.revokeKey(key.id);
  await directory.deleteClient(id);
  assert.equal(directory.isOpen(), false);
  const later = await open();
  assert.equal(later.isOpen(), false);
  await later.close();
});

test('a key of the settings closes a server', async (context) => {
  const { directory } = await setUp(context, { staticKeys: [{ name: 'ada', key: 'k' }] });
  assert.equal(directory.isOpen(), false);
});

test('a new directory on the same store knows the same', async (context) => {
  const { directory, open, clock, kindOf } = await setUp(context);
  const [shop, gone] = [
    await directory.createClient({ name: 'Shop', limits: { rps: 1 } }),
    await directory.createClient({ name: 'Gone' }),
  ];
  const good = await directory.createKey(shop.id, { note: 'Till' });
  const rotated = await directory.rotateKey((await directory.createKey(shop.id)).key.id, 5);
  const texts = [
    good,
    rotated,
    await directory.createKey(shop.id, { expiresAt: START + 1 }),
    await directory.createKey(gone.id),
  ].map(({ text }) => text);
  await directory.deleteClient(gone.id);
  clock.now += 1;
  const kinds = ['client', 'client', 'expired', 'revoked'];
  assert.deepEqual(texts.map(kindOf), kinds);
  await directory.close();
  const second = await open();
  assert.deepEqual(second.listKeys(shop.id), directory.listKeys(shop.id));
  assert.equal(second.listKeys(shop.id)[0]!.lastUsedAt, START + 1);
  const again = texts.map((text) => second.identify(text));
  assert.deepEqual(
    again,
    texts.map((text) => directory.identify(text)),
  );
  await second.close();
});

test('more clients than are read at once are all known', async (context) => {
  const { directory, admin, open } = await setUp(context);
  const first = await directory.createClient({ name: 'First' });
  const clone = (index: number) => ({ ...first, id: `${first.id}-${String(index).padStart(4, '0')}` });
  const entry = { at: START, action: 'test', subject: 'x', details: {} };
  await Promise.all(
    Array.from({ length: 1500 }, (_, index) => admin.saveClient(clone(index), { ...entry, id: `e${index}` })),
  );
  const second = await open();
  assert.deepEqual(second.listKeys(clone(1499).id), []);
  assert.deepEqual(second.listKeys(first.id), []);
  await second.close();
});

test('a change that could not be stored does not hold, and can be made again', async (context) => {
  const { admin, clock } = await setUp(context);
  let failing = false;
  const adminStore = Object.fromEntries(
    Object.entries(admin).map(([name, method]) => [
      name,
      (...given: unknown[]) =>
        failing
          ? Promise.reject(new AppError('store_unavailable'))
          : Reflect.apply(method as (...given: unknown[]) => unknown, admin, given),
    ]),
  ) as unknown as AdminStore;
  const directory = await createDirectory({ adminStore, staticKeys: [], now: () => clock.now });
  const client = await directory.createClient({ name: 'Shop' });
  const { key, text } = await directory.createKey(client.id);
  const known = directory.identify(text);
  const listed = directory.listKeys(client.id);
  const isOut = isError('store_unavailable');
  failing = true;
  await assert.rejects(directory.createClient({ name: 'Other' }), isOut);
  await assert.rejects(directory.updateClient(client.id, { name: 'Other' }), isOut);
  await assert.rejects(directory.createKey(client.id), isOut);
  await assert.rejects(directory.rotateKey(key.id), isOut);
  await assert.rejects(directory.revokeKey(key.id), isOut);
  await assert.rejects(directory.deleteClient(client.id), isOut);
  assert.deepEqual(directory.identify(text), known);
  assert.deepEqual(directory.listKeys(client.id), listed);
  failing = false;
  // As if the failure had come after the deed: what the store has is what is to hold.
  const entry = { id: 'e', at: START, action: 'client.delete', subject: client.id, details: {} };
  await admin.deleteClient(client.id, START, entry);
  await directory.deleteClient(client.id);
  assert.equal(directory.identify(text).kind, 'revoked');
  await directory.close();
});

test('every change is in the log, and no key and no hash is', async (context) => {
  const { directory, audit } = await setUp(context);
  const { id } = await directory.createClient({ name: 'Shop' });
  await directory.updateClient(id, { name: 'Other' });
  const first = await directory.createKey(id, { note: 'Till' });
  const second = await directory.rotateKey(first.key.id, 60);
  await directory.revokeKey(second.key.id);
  await directory.revokeKey(second.key.id);
  await directory.deleteClient(id);
  const entries = await audit();
  assert.deepEqual(
    entries.map(({ action, subject, at }) => [action, subject, at]),
    [
      ['client.create', id, START],
      ['client.update', id, START],
      ['key.create', first.key.id, START],
      ['key.rotate', first.key.id, START],
      ['key.revoke', second.key.id, START],
      ['client.delete', id, START],
    ],
  );
  const seen = JSON.stringify([entries, first.key, second.key]);
  for (const { text, key } of [first, second]) {
    assert.ok(!seen.includes(text) && !seen.includes(hashKey(text)));
    assert.ok(seen.includes(key.prefix));
  }
});

test('any text may be sent as a key, and none opens anything', async (context) => {
  const staticKeys = [{ name: 'ada', key: 'key-of-ada-which-no-generator-makes' }];
  const { directory, open } = await setUp(context);
  const withStatic = await open({ staticKeys });
  const { id } = await directory.createClient({ name: 'Shop' });
  const { text } = await directory.createKey(id);
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array).toString('latin1'));
  const near = fc
    .tuple(fc.nat(text.length), fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }))
    .map(([at, more]) => text.slice(0, at) + more + text.slice(at + more.length))
    .filter((changed) => changed !== text);
  const anything = fc.oneof(bytes, fc.string({ unit: 'binary' }), near);
  fc.assert(
    fc.property(anything, (wild) => {
      for (const one of [directory, withStatic]) assert.deepEqual(one.identify(wild), { kind: 'unknown' });
    }),
  );
  await withStatic.close();
});

test('what another directory on the same store has changed is there once it is read anew', async (context) => {
  const { directory, open } = await setUp(context);
  const other = await open();
  const client = await other.createClient({ name: 'Shop' });
  const { key, text } = await other.createKey(client.id);
  assert.equal(directory.identify(text).kind, 'unknown');
  await directory.reload();
  assert.equal(directory.identify(text).kind, 'client');
  assert.equal(directory.isOpen(), false);

  await other.updateClient(client.id, { name: 'Store', limits: { burst: 9 } });
  await directory.reload();
  const known = directory.identify(text);
  assert.ok(known.kind === 'client');
  assert.deepEqual([known.client.name, known.client.limits.burst], ['Store', 9]);

  await other.revokeKey(key.id);
  await directory.reload();
  assert.equal(directory.identify(text).kind, 'revoked');
  await other.deleteClient(client.id);
  await directory.reload();
  assert.throws(() => directory.listKeys(client.id), { code: 'client_not_found' });
});
