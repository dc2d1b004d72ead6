/** What the contracts leave to PostgreSQL: texts that it finds hard to keep, and many servers at the same rows at once. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { newId } from '../../conversation/id.ts';
import { sampleApiKey, sampleBypass, sampleClient } from '../admin-store.contract.ts';
import type { OpenedStore } from '../admin-store.ts';
import { sampleEntry } from '../admin-store-samples.contract.ts';
import { openPostgresStore } from '../postgres.ts';
import {
  begin,
  createdSession,
  ids,
  OWNER,
  RESTARTED,
  sampleBegin,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sampleTurns,
  userMessage,
  WHOLE_PATH,
} from '../store-samples.contract.ts';
import { PATIENT, skip, testPostgres } from './samples.contract.ts';

const postgres = await testPostgres();

const ALL = { limit: 100, after: null, order: 'asc' } as const;

async function servers(context: TestContext, count: number, database?: string): Promise<OpenedStore[]> {
  const location = postgres.location('', database);
  const stores = await Promise.all(Array.from({ length: count }, () => openPostgresStore(location, PATIENT)));
  context.after(() => Promise.all(stores.map((store) => store.close())));
  return stores;
}

test('texts come back that no text of PostgreSQL can hold', { skip }, async (context) => {
  const [store] = await servers(context, 1);
  const strange = 'a\u0000b \ud800 "\\u0000\\" \u{1F600}';
  const metadata = { [strange]: strange, other: '\udc00' };
  const servedBy = { provider: 'openai', model: strange };
  const turns = sampleTurns(2).map((turn) => ({ ...turn, input: [userMessage(strange)] }));
  const session = await createdSession(store!, { title: strange, instructions: strange, metadata, servedBy });
  assert.deepEqual(await store!.getSession(OWNER, session.id), session);
  const found = await store!.listSessions({ owner: OWNER, metadata: { [strange]: strange }, ...ALL });
  assert.deepEqual(found.data, [session]);
  // Another half of a pair is another text.
  const none = await store!.listSessions({ owner: OWNER, metadata: { other: '\udc01' }, ...ALL });
  assert.deepEqual(none.data, []);
  const copy = sampleSession({ headTurnId: turns[1]!.id });
  await store!.createSession(copy, turns);
  const { path } = await begin(store!, copy);
  assert.deepEqual(
    path.map(({ input }) => input).reverse(),
    turns.map(({ input }) => input),
  );

  const client = sampleClient({ name: strange });
  await store!.admin.saveClient(client, sampleEntry({ subject: strange, details: { strange } }));
  const key = sampleApiKey({ note: strange });
  await store!.admin.saveKeys([key], sampleEntry());
  const bypass = sampleBypass({ note: strange });
  await store!.admin.saveBypass(bypass, sampleEntry());
  assert.deepEqual((await store!.admin.listClients(ALL)).data, [client]);
  assert.deepEqual(await store!.admin.listKeys(), [key]);
  assert.deepEqual(await store!.admin.listBypass(), [bypass]);
  assert.deepEqual((await store!.admin.listAudit(ALL)).data[0]!.details, { strange });
});

test('ids with such a text in them are as unknown as any other', { skip }, async (context) => {
  const [store] = await servers(context, 1);
  const session = await createdSession(store!);
  const id = `${session.id}\u0000`;
  assert.equal(await store!.getSession(OWNER, id), null);
  assert.equal(await store!.getSession(`${OWNER}\u0000`, session.id), null);
  assert.equal(await store!.getTurn(OWNER, session.id, id), null);
  assert.equal(await store!.deleteSession(OWNER, id), false);
  assert.deepEqual(await store!.admin.deleteSessions(OWNER, [id], sampleEntry()), []);
  assert.deepEqual(await store!.beginTurn(sampleBegin({ ...session, id })), {
    kind: 'missing',
    what: 'session',
  });
  await assert.rejects(store!.listItems(OWNER, session.id, { ...ALL, after: '\u0000' }), {
    code: 'invalid_cursor',
  });
});

test('texts may be longer than a page, and pairs of metadata longer than an index takes', {
  skip,
}, async (context) => {
  const [store] = await servers(context, 1);
  // Random, so that it cannot be compressed into one.
  const long = Array.from({ length: 2000 }, () => newId()).join('');
  const session = await createdSession(store!, { instructions: long, metadata: { [long]: long } });
  const input = [userMessage(long.repeat(30))];
  await begin(store!, session, { input });
  const found = await store!.listSessions({ owner: OWNER, metadata: { [long]: long }, ...ALL });
  assert.deepEqual(found.data, [session]);
  const turns = await store!.listTurns(OWNER, session.id, ALL);
  assert.deepEqual(turns!.data[0]!.input, input);
});

test('lists are in the order of bytes, whatever the locale of the database', { skip }, async (context) => {
  const [store] = await servers(context, 1, 'english');
  const inOrder = ['B', 'C-a', 'CB', 'Z', 'a', 'ab', 'b', 'é'];
  for (const id of inOrder.toReversed()) {
    await createdSession(store!, { id, metadata: { a: '1' } });
    await store!.admin.saveClient(sampleClient({ id }), sampleEntry({ id }));
  }
  for (const metadata of [{}, { a: '1' }]) {
    const query = { owner: OWNER, metadata, ...ALL };
    assert.deepEqual(ids((await store!.listSessions(query)).data), inOrder);
    assert.deepEqual(ids((await store!.listSessions({ ...query, after: 'Z' })).data), inOrder.slice(4));
  }
  assert.deepEqual(ids((await store!.admin.listClients(ALL)).data), inOrder);
  assert.deepEqual(ids((await store!.admin.listAudit({ ...ALL, after: 'Z' })).data), inOrder.slice(4));
});

test('a role that would have everything serializable is asked for less', { skip }, async (context) => {
  await postgres.execute(
    `CREATE ROLE strict LOGIN; ALTER ROLE strict SET default_transaction_isolation = serializable;
     GRANT CREATE ON DATABASE postgres TO strict`,
  );
  const store = await openPostgresStore(postgres.location().replace('parley@', 'strict@'), PATIENT);
  context.after(() => store.close());
  // The first rounds are over before there are connections enough for turns to meet.
  for (let round = 0; round < 20; round += 1) {
    const session = await createdSession(store);
    const requests = Array.from({ length: 20 }, () => store.beginTurn(sampleBegin(session)));
    const kinds = (await Promise.all(requests)).map(({ kind }) => kind);
    assert.deepEqual(kinds.toSorted(), ['begun', ...Array.from({ length: 19 }, () => 'busy')]);
  }
});

test('changes of one session by many servers at once are all made', { skip }, async (context) => {
  const stores = await servers(context, 2);
  const session = await createdSession(stores[0]!);
  const changes = [
    { title: 'New' },
    { model: 'm' },
    { instructions: 'i' },
    { memoryLimit: 7 },
    { maxContextTokens: 9 },
    { ttlSeconds: 60 },
    { metadata: { a: '1' } },
    { provider: 'p' },
  ];
  await Promise.all(
    changes.map((change, index) => stores[index % 2]!.updateSession(OWNER, session.id, change, 5000)),
  );
  const expected = Object.assign({ ...session, updatedAt: 5000 }, ...changes);
  assert.deepEqual(await stores[1]!.getSession(OWNER, session.id), expected);
});

test('of sessions made at once under one key, by many servers, there is one', { skip }, async (context) => {
  const stores = await servers(context, 2);
  const key = sampleKey();
  for (let round = 0; round < 5; round += 1) {
    const sessions = Array.from({ length: 20 }, () => sampleSession());
    const made = await Promise.all(
      sessions.map((session, index) =>
        stores[index % 2]!.createSession(session, [], { ...key, value: `${key.value}${round}` }),
      ),
    );
    const first = sessions[made.findIndex(({ kind }) => kind === 'created')]!;
    for (const [index, outcome] of made.entries()) {
      if (sessions[index] === first) continue;
      assert.ok(outcome.kind === 'replay');
      assert.equal(outcome.session.id, first.id);
    }
  }
});

test('calls of every kind at the same few sessions at once wait for each other, and never in a circle', {
  skip,
}, async (context) => {
  const stores = await servers(context, 3);
  const sessions = await Promise.all(Array.from({ length: 4 }, () => createdSession(stores[0]!)));
  const keys = sessions.map(() => sampleKey({ expiresAt: 3000 }));
  let begun = 0;
  const worker = async (store: OpenedStore, index: number) => {
    for (let round = 0; round < 25; round += 1) {
      const at = (index + round) % sessions.length;
      const session = sessions[at]!;
      const request = sampleBegin(session, {
        key: sampleKey({ expiresAt: 2500 }),
        line: 'end',
        leaseMilliseconds: 5,
      });
      const outcome = await store.beginTurn(request);
      const claims = sessions.map(({ id }) => ({ sessionId: id, turnId: request.turnId, fence: round }));
      await store.renewTurns({ running: claims, waiting: claims.toReversed(), leaseMilliseconds: 5 });
      if (outcome.kind === 'begun') {
        begun += 1;
        const { turnId } = request;
        await store.commitTurn({
          sessionId: session.id,
          turnId,
          fence: outcome.fence,
          outcome: sampleOutcome(),
        });
      }
      if (round % 5 === index % 5) await store.failInterrupted(RESTARTED, 5000);
      if (round % 6 === index % 6) await store.sweep(4000, null);
      if (round % 7 === index % 7)
        await store.updateSession(OWNER, session.id, { metadata: { a: `${round}` } }, 5);
      if (round % 11 === index % 11) await store.deleteSession(OWNER, session.id);
      if (round % 11 === index % 11) {
        sessions[at] = sampleSession();
        await store.createSession(sessions[at], [], keys[at]);
      }
    }
  };
  await Promise.all(Array.from({ length: 18 }, (_, index) => worker(stores[index % 3]!, index)));
  assert.ok(begun > 50, `${begun} turns`);
  // Whatever is left is whole.
  for (const session of sessions) {
    const read = await stores[0]!.readPath({
      owner: OWNER,
      sessionId: session.id,
      turnId: undefined,
      reach: WHOLE_PATH,
    });
    for (const turn of read?.path ?? []) assert.equal(turn.output.length, 1);
  }
  const [row] = await postgres.execute(
    'SELECT deadlocks::integer FROM pg_stat_database WHERE datname = current_database()',
  );
  assert.equal(row!['deadlocks'], 0);
});
