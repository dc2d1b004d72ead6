/** The part of the store's contract that speaks of sessions and of the store itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../conversation/id.ts';
import type { SessionQuery } from './store.ts';
import {
  allPages,
  begin,
  createdSession,
  ids,
  type OpenStore,
  OWNER,
  opened,
  rejectsWith,
  runTurn,
  SERVED,
  sampleBegin,
  sampleOutcome,
  sampleSession,
  sampleTurns,
  sweepAll,
  userMessage,
  WHOLE_PATH,
} from './store-samples.contract.ts';

const query = (change: Partial<SessionQuery> = {}): SessionQuery => ({
  owner: OWNER,
  metadata: {},
  limit: 100,
  after: null,
  order: 'asc',
  ...change,
});

export function describeSessions(open: OpenStore): void {
  test('a session comes back as it was given', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { metadata: { a: '1', '"$.b': '\u{1F600} \\ "' } });
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
    const bare = await createdSession(store, {
      title: null,
      provider: null,
      fallbackProviders: null,
      maxContextTokens: null,
      instructions: null,
    });
    assert.deepEqual(await store.getSession(OWNER, bare.id), bare);
    assert.equal(await store.getSession(OWNER, newId()), null);
  });

  test('a session made with turns has them as its conversation', async (context) => {
    await using store = await opened(open, context);
    const turns = sampleTurns(3);
    const session = sampleSession({ headTurnId: turns[2]!.id });
    await store.createSession(session, turns);
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
    const listed = await store.listTurns(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
    assert.deepEqual(
      listed!.data,
      turns.map((turn) => ({ ...turn, sessionId: session.id })),
    );
    const begun = await begin(store, session);
    assert.equal(begun.parentId, turns[2]!.id);
    assert.deepEqual(
      begun.path.map(({ id, placesBefore }) => [id, placesBefore]),
      [4, 2, 0].map((places) => [turns[places / 2]!.id, places]),
    );
  });

  test('a session and its turns appear together or not at all', async (context) => {
    await using store = await opened(open, context);
    const [first, second] = sampleTurns(2);
    const session = sampleSession({ headTurnId: first!.id });
    await assert.rejects(store.createSession(session, [first!, { ...second!, id: first!.id }]));
    assert.equal(await store.getSession(OWNER, session.id), null);
    await store.createSession(session, [first!]);
    assert.equal((await store.getTurn(OWNER, session.id, first!.id))?.id, first!.id);
  });

  test('a session is refused whose head is not its last turn, or whose turn has not ended well', async (context) => {
    await using store = await opened(open, context);
    const [first, second] = sampleTurns(2);
    await assert.rejects(store.createSession(sampleSession({ headTurnId: first!.id }), [first!, second!]));
    await assert.rejects(store.createSession(sampleSession({ headTurnId: newId() })));
    await assert.rejects(
      store.createSession(sampleSession({ headTurnId: first!.id }), [{ ...first!, status: 'failed' }]),
    );
    assert.deepEqual(await store.listSessions(query()), { data: [], hasMore: false });
  });

  test("another owner's session is answered as a missing one", async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const { turnId } = await begin(store, session);
    const other = 'client-2';
    const page = { limit: 10, after: null, order: 'asc' } as const;
    assert.equal(await store.getSession(other, session.id), null);
    assert.equal(await store.updateSession(other, session.id, { title: 'Mine' }, 5), null);
    assert.equal(await store.deleteSession(other, session.id), false);
    assert.deepEqual((await store.listSessions(query({ owner: other }))).data, []);
    assert.deepEqual(await store.beginTurn(sampleBegin(session, { owner: other })), {
      kind: 'missing',
      what: 'session',
    });
    assert.equal(await store.getTurn(other, session.id, turnId), null);
    assert.equal(await store.listTurns(other, session.id, page), null);
    assert.equal(await store.listItems(other, session.id, page), null);
    const path = { owner: other, sessionId: session.id, turnId: undefined, reach: WHOLE_PATH };
    assert.equal(await store.readPath(path), null);
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
  });

  test('sessions are listed by id, page by page, in both orders', async (context) => {
    await using store = await opened(open, context);
    const made = Array.from({ length: 7 }, () => sampleSession());
    // Stored in another order than that of their ids.
    for (const session of made.toReversed()) await store.createSession(session);
    await createdSession(store, { owner: 'client-2' });
    for (const order of ['asc', 'desc'] as const) {
      const expected = order === 'asc' ? made : made.toReversed();
      for (const limit of [1, 3, 7]) {
        const all = await allPages(
          (after) => store.listSessions(query({ limit, after, order })),
          (session) => session.id,
        );
        assert.deepEqual(all, expected);
      }
    }
    assert.equal((await store.listSessions(query({ limit: 6 }))).hasMore, true);
    assert.equal((await store.listSessions(query({ limit: 7 }))).hasMore, false);
  });

  test('a list goes on where it was although sessions come and go', async (context) => {
    await using store = await opened(open, context);
    const made = [await createdSession(store), await createdSession(store), await createdSession(store)];
    const first = await store.listSessions(query({ limit: 2 }));
    await store.deleteSession(OWNER, made[0]!.id);
    await store.deleteSession(OWNER, made[1]!.id);
    const last = await createdSession(store);
    const second = await store.listSessions(query({ limit: 2, after: first.data[1]!.id }));
    assert.deepEqual(ids(second.data), [made[2]!.id, last.id]);
  });

  test('the metadata filter finds the sessions that have all of the pairs', async (context) => {
    await using store = await opened(open, context);
    const both = await createdSession(store, { metadata: { user: 'ada', app: 'chat' } });
    const one = await createdSession(store, { metadata: { user: 'ada', app: 'mail' } });
    await createdSession(store, { metadata: { user: 'bob', app: 'chat' } });
    await createdSession(store, { owner: 'client-2', metadata: { user: 'ada', app: 'chat' } });
    const find = async (metadata: Record<string, string>, change: Partial<SessionQuery> = {}) =>
      ids((await store.listSessions(query({ metadata, ...change }))).data);
    assert.deepEqual(await find({ user: 'ada' }), [both.id, one.id]);
    assert.deepEqual(await find({ user: 'ada' }, { order: 'desc' }), [one.id, both.id]);
    assert.deepEqual(await find({ user: 'ada' }, { after: both.id }), [one.id]);
    assert.deepEqual(await find({ user: 'ada', app: 'chat' }), [both.id]);
    assert.deepEqual(await find({ app: 'chat', user: 'ada' }, { after: both.id }), []);
    assert.deepEqual(await find({ user: 'chat' }), []);
    assert.deepEqual(await find({ ada: 'user' }), []);
  });

  test('only the settings in the change are changed, metadata as a whole', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { metadata: { a: '1', b: '2' } });
    const renamed = await store.updateSession(OWNER, session.id, { title: 'New', model: 'm' }, 1500);
    assert.deepEqual(renamed, { ...session, title: 'New', model: 'm', updatedAt: 1500 });
    const change = { metadata: { b: '3' }, fallbackProviders: null, title: null };
    const again = await store.updateSession(OWNER, session.id, change, 1600);
    assert.deepEqual(again, { ...renamed, ...change, updatedAt: 1600 });
    assert.deepEqual(await store.getSession(OWNER, session.id), again);
    assert.deepEqual((await store.listSessions(query({ metadata: { a: '1' } }))).data, []);
    assert.deepEqual((await store.listSessions(query({ metadata: { b: '2' } }))).data, []);
    assert.deepEqual((await store.listSessions(query({ metadata: { b: '3' } }))).data, [again]);
    assert.equal(await store.updateSession(OWNER, newId(), { title: 'x' }, 1), null);
  });

  test('who served the head is known until the choice is changed or another serves', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { servedBy: { provider: 'a', model: 'b/c' } });
    const servedBy = async () => (await store.getSession(OWNER, session.id))!.servedBy;
    assert.deepEqual(await servedBy(), { provider: 'a', model: 'b/c' });
    await runTurn(store, session);
    assert.deepEqual(await servedBy(), SERVED);
    // Another setting leaves it; a turn that does not join, too.
    await store.updateSession(OWNER, session.id, { title: 'x' }, 3100);
    const other = { ...sampleOutcome().attempts[0]!, provider: 'other' };
    await runTurn(store, session, { outcome: { status: 'failed', attempts: [other] } });
    assert.deepEqual(await servedBy(), SERVED);
    const changed = await store.updateSession(OWNER, session.id, { model: 'm', servedBy: null }, 3200);
    assert.deepEqual([changed!.servedBy, changed!.model, await servedBy()], [null, 'm', null]);
    const attempts = [other, { ...other, provider: 'third', status: 'failed' as const }];
    await runTurn(store, session, { outcome: { attempts } });
    assert.deepEqual(await servedBy(), { provider: 'other', model: 'gpt' });
    await runTurn(store, session, { outcome: { attempts: [] } });
    assert.equal(await servedBy(), null);
  });

  test('a session is deleted with its turns, a running one included', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { metadata: { a: '1' } });
    const { turnId, fence } = await begin(store, session, { input: [userMessage()] });
    assert.equal(await store.deleteSession(OWNER, session.id), true);
    assert.equal(await store.deleteSession(OWNER, session.id), false);
    assert.equal(await store.getSession(OWNER, session.id), null);
    assert.equal(await store.getTurn(OWNER, session.id, turnId), null);
    assert.deepEqual((await store.listSessions(query({ metadata: { a: '1' } }))).data, []);
    const commit = { sessionId: session.id, turnId, fence, outcome: sampleOutcome() };
    assert.equal(await store.commitTurn(commit), false);
    // Once it is swept nothing is left of it: the same ids can be stored again.
    await sweepAll(store, 3000);
    await store.createSession(session);
    await begin(store, session, { turnId });
  });

  test('a store that works answers to ping', async (context) => {
    await using store = await opened(open, context);
    await store.ping();
    const session = await createdSession(store);
    assert.deepEqual(await store.getSession(OWNER, session.id), session);
  });

  test('close waits for what is under way; then nothing is served', async (context) => {
    const store = await open(context);
    const session = sampleSession();
    const created = store.createSession(session);
    await store.close();
    await created;
    await rejectsWith(store.createSession(sampleSession()), 'store_unavailable');
    await rejectsWith(store.getSession(OWNER, session.id), 'store_unavailable');
    await rejectsWith(store.ping(), 'store_unavailable');
  });
}
