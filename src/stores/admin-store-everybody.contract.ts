/** What operators see and do of everybody's sessions and turns: the sentences of admin-store.ts as tests. */

import assert from 'node:assert/strict';
import { newId } from '../conversation/id.ts';
import type { SearchedPage } from '../conversation/page.ts';
import type { Turn } from '../conversation/turn.ts';
import type { TurnSummary } from '../conversation/turn-summary.ts';
import type { TurnQuery } from './admin-store.ts';
import { type Sentence, sampleEntry } from './admin-store-samples.contract.ts';
import {
  begin,
  createdSession,
  ids,
  runTurn,
  sampleBegin,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sampleTurns,
  sweepAll,
} from './store-samples.contract.ts';

const ALL_TURNS: TurnQuery = {
  limit: 100,
  after: null,
  status: null,
  provider: null,
  owner: null,
  sessionId: null,
  since: null,
};

const AUDIT = { limit: 100, after: null, order: 'asc' } as const;

/** Walks a search to its end, whatever its pages hold. */
async function searched<Element>(
  read: (after: string | null) => Promise<SearchedPage<Element>>,
): Promise<Element[]> {
  const all: Element[] = [];
  for (let after: string | null = null; ; ) {
    const page = await read(after);
    all.push(...page.data);
    if (!page.hasMore) return all;
    assert.notEqual(page.lastId, after, 'the search goes on');
    after = page.lastId;
  }
}

/** What a summary has of the turn. */
function summaryOf(turn: Turn, owner: string): TurnSummary {
  const { input: _, output: __, seenPlaces: ___, trace: ____, ...summary } = turn;
  return { ...summary, owner };
}

export const everybodyTests: Sentence[] = [
  [
    'the owner of a session is known as long as the session is there',
    async (admin, store) => {
      const session = await createdSession(store, { owner: 'shop' });
      assert.equal(await admin.ownerOf(session.id), 'shop');
      assert.equal(await admin.ownerOf('x'), null);
      await store.deleteSession('shop', session.id);
      assert.equal(await admin.ownerOf(session.id), null);
    },
  ],
  [
    'the sessions of all owners are listed by id in both directions, deleted ones left out',
    async (admin, store) => {
      const sessions = [];
      for (const owner of ['a', 'b', 'a', 'c', 'b']) {
        sessions.push(await createdSession(store, { owner, metadata: { of: owner } }));
      }
      await store.deleteSession('a', sessions[2]!.id);
      const left = sessions.filter((_, index) => index !== 2);
      for (const order of ['asc', 'desc'] as const) {
        const found = await searched((after) => admin.allSessions({ limit: 2, after, order }));
        assert.deepEqual(found, order === 'asc' ? left : left.toReversed());
      }
      const after = { limit: 9, after: sessions[2]!.id, order: 'asc' } as const;
      assert.deepEqual(ids((await admin.allSessions(after)).data), ids(sessions.slice(3)));
    },
  ],
  [
    "an owner's sessions are deleted together, with what is in them, and those of others are not",
    async (admin, store) => {
      const [one, other] = [await createdSession(store), await createdSession(store)];
      const foreign = await createdSession(store, { owner: 'b' });
      const turnId = await runTurn(store, one);
      const running = await begin(store, other);
      const entry = sampleEntry();
      const deleted = await admin.deleteSessions(one.owner, ids([one, other, foreign, { id: 'x' }]), entry);
      assert.deepEqual(deleted.toSorted(), ids([one, other]).toSorted());
      assert.equal(await store.getSession(one.owner, one.id), null);
      assert.equal(await store.getTurn(one.owner, one.id, turnId), null);
      const claim = { sessionId: other.id, turnId: running.turnId, fence: running.fence };
      assert.equal(await store.commitTurn({ ...claim, outcome: sampleOutcome() }), false);
      assert.deepEqual(await store.getSession('b', foreign.id), foreign);
      assert.deepEqual((await admin.listAudit(AUDIT)).data, [entry]);
      await sweepAll(store, 10_000);
      assert.deepEqual(ids((await admin.allSessions(AUDIT)).data), [foreign.id]);
    },
  ],
  [
    'where none of the sessions is there to delete, nothing is in the log',
    async (admin, store) => {
      const session = await createdSession(store);
      assert.deepEqual(await admin.deleteSessions('b', [session.id, 'x'], sampleEntry()), []);
      assert.deepEqual(await admin.deleteSessions(session.owner, [], sampleEntry()), []);
      assert.deepEqual((await admin.listAudit(AUDIT)).data, []);
      assert.deepEqual(await store.getSession(session.owner, session.id), session);
    },
  ],
  [
    'sessions whose entry cannot be written are not deleted',
    async (admin, store) => {
      const [session, other] = [await createdSession(store), await createdSession(store)];
      const entry = sampleEntry();
      await admin.deleteSessions(other.owner, [other.id], entry);
      await assert.rejects(admin.deleteSessions(session.owner, [session.id], entry));
      assert.deepEqual(await store.getSession(session.owner, session.id), session);
    },
  ],
  [
    'turns of all owners are listed newest first, in whatever state, without what was said',
    async (admin, store) => {
      const [mine, theirs] = [await createdSession(store), await createdSession(store, { owner: 'b' })];
      const first = await runTurn(store, mine);
      const error = { code: 'provider_error', message: 'No.', details: { attempts: 2 } } as const;
      const failed = {
        status: 'failed',
        error,
        provider: null,
        model: null,
        attempts: [],
        usage: null,
      } as const;
      const second = await runTurn(store, theirs, { outcome: { ...failed, trace: null } });
      const third = await runTurn(store, mine);
      const { turnId: running } = await begin(store, theirs);
      const expected = [];
      for (const [session, turnId] of [
        [theirs, running],
        [mine, third],
        [theirs, second],
        [mine, first],
      ] as const) {
        const turn = await store.getTurn(session.owner, session.id, turnId);
        const summary = summaryOf(turn!, session.owner);
        expected.push(summary);
        assert.deepEqual(await admin.findTurn(turnId), summary);
      }
      for (const limit of [1, 3, 100]) {
        const found = await searched((after) => admin.recentTurns({ ...ALL_TURNS, limit, after }));
        assert.deepEqual(found, expected);
      }
      assert.equal(await admin.findTurn('x'), null);
    },
  ],
  [
    'turns are found by status, provider, owner, session and time, and by all of them at once',
    async (admin, store) => {
      const [one, other] = [await createdSession(store), await createdSession(store)];
      const foreign = await createdSession(store, { owner: 'b' });
      // As ids are drawn in life: the time in the id is that of the turn.
      const now = Date.now();
      const turns: string[] = [];
      for (const [session, outcome] of [
        [one, {}],
        [other, { status: 'failed' }],
        [foreign, { provider: 'demo' }],
        [one, { status: 'failed', provider: 'demo' }],
        [foreign, { status: 'failed' }],
      ] as const) {
        turns.push(await runTurn(store, session, { createdAt: now + turns.length, outcome }));
      }
      const find = async (filter: Partial<TurnQuery>) => {
        const found = await searched((after) =>
          admin.recentTurns({ ...ALL_TURNS, ...filter, limit: 2, after }),
        );
        return ids(found).map((id) => turns.indexOf(id));
      };
      assert.deepEqual(await find({}), [4, 3, 2, 1, 0]);
      assert.deepEqual(await find({ status: 'failed' }), [4, 3, 1]);
      assert.deepEqual(await find({ status: 'in_progress' }), []);
      assert.deepEqual(await find({ provider: 'demo' }), [3, 2]);
      assert.deepEqual(await find({ owner: 'b' }), [4, 2]);
      assert.deepEqual(await find({ owner: 'x' }), []);
      assert.deepEqual(await find({ sessionId: one.id }), [3, 0]);
      assert.deepEqual(await find({ sessionId: one.id, status: 'completed' }), [0]);
      assert.deepEqual(await find({ sessionId: one.id, owner: 'b' }), []);
      assert.deepEqual(await find({ sessionId: 'x' }), []);
      assert.deepEqual(await find({ since: now + 3 }), [4, 3]);
      assert.deepEqual(await find({ since: now + 5 }), []);
      assert.deepEqual(await find({ since: now + 100_000 }), []);
      assert.deepEqual(await find({ since: 0 }), [4, 3, 2, 1, 0]);
      const all = { status: 'failed', provider: 'demo', owner: one.owner, sessionId: one.id } as const;
      assert.deepEqual(await find({ ...all, since: now + 1 }), [3]);
      assert.deepEqual(await find({ ...all, since: now + 4 }), []);
    },
  ],
  [
    'the turns of a deleted session are not found, whether it was swept or not',
    async (admin, store) => {
      const [deleted, other] = [await createdSession(store), await createdSession(store)];
      const gone = [await runTurn(store, deleted), await runTurn(store, deleted)];
      const left = await runTurn(store, other);
      await store.deleteSession(deleted.owner, deleted.id);
      for (const when of ['marked', 'swept']) {
        for (const filter of [{}, { sessionId: deleted.id }, { owner: '' }]) {
          const found = await searched((after) => admin.recentTurns({ ...ALL_TURNS, ...filter, after }));
          assert.deepEqual(ids(found), Object.keys(filter).length === 0 ? [left] : [], when);
        }
        for (const id of gone) assert.equal(await admin.findTurn(id), null, when);
        await sweepAll(store, 10_000);
      }
    },
  ],
  [
    'the copies that a fork makes stand where the fork does, and have the time of their originals',
    async (admin, store) => {
      const session = await createdSession(store);
      const now = Date.now();
      const original = await runTurn(store, session, { createdAt: now });
      const [copy] = sampleTurns(1);
      const fork = sampleSession({ headTurnId: copy!.id });
      await store.createSession(fork, [{ ...copy!, createdAt: now - 60_000, sessionId: fork.id }]);
      const found = async (since: number | null) => (await admin.recentTurns({ ...ALL_TURNS, since })).data;
      assert.deepEqual(ids(await found(null)), [copy!.id, original]);
      assert.deepEqual(ids(await found(now)), [original]);
    },
  ],
  [
    'a turn that was asked for twice is one',
    async (admin, store) => {
      const session = await createdSession(store);
      const key = sampleKey();
      const { turnId } = await begin(store, session, { key });
      assert.equal((await store.beginTurn(sampleBegin(session, { key, turnId: newId() }))).kind, 'replay');
      assert.deepEqual(ids((await admin.recentTurns(ALL_TURNS)).data), [turnId]);
    },
  ],
];
