/**
 * What a store must do to be carried into another one: the sentences of portable-store.ts as tests. `describeMove` is for
 * two engines, which may be the same; `describePortable` for one.
 */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import type { OpenedStore } from './admin-store.ts';
import { recordLine } from './portable-lines.ts';
import type { PortableRecord } from './portable-store.ts';
import {
  collected,
  fillStore,
  linesOf,
  MOMENT,
  recordsOf,
  streamOf,
} from './portable-store-samples.contract.ts';
import { histories, playHistory } from './store-model.contract.ts';
import {
  allPages,
  answerMessage,
  begin,
  createdSession,
  OWNER,
  RESTARTED,
  rejectsWith,
  runTurn,
  sampleBegin,
  sampleKey,
  sampleSession,
  sweepAll,
  userMessage,
  WHOLE_PATH,
} from './store-samples.contract.ts';

export type OpenPortable = (context: TestContext) => Promise<OpenedStore>;

/** Histories that are moved between each two engines: each opens two new stores. */
const RUNS = 4;

/** Enough to tell a restore that asks for a bounded number ahead from one that asks for all. */
const MANY_SESSIONS = 2000;

export function describeMove(name: string, openSource: OpenPortable, openTarget: OpenPortable): void {
  describe(`from ${name}`, () => {
    test('any history is there as it was', async (context) => {
      await fc.assert(
        fc.asyncProperty(histories, async (history) => {
          await withStores(context, [openSource, openTarget], async ([source, target]) => {
            const sessionIds = await playHistory(source, history);
            const restored = await target.portable.restore(source.portable.dump(MOMENT));
            assert.deepEqual(restored, { sessions: sessionIds.length, known: 0 });
            assert.deepEqual(await linesOf(target), await linesOf(source));
            // What was running is over in the other store, and now in this one.
            await source.failInterrupted(RESTARTED, MOMENT.now);
            // Places are counted anew, of the items that are still there.
            const keepsPlaces = !history.some(({ kind }) => kind === 'deleteItem');
            for (const id of sessionIds) {
              assert.deepEqual(await seen(target, id, keepsPlaces), await seen(source, id, keepsPlaces));
            }
          });
        }),
        { numRuns: RUNS },
      );
    });

    test('everything that there can be is there as it was, and lives on', async (context) => {
      await withStores(context, [openSource, openTarget], async ([source, target]) => {
        const [plain, running, long] = await fillStore(source);
        await target.portable.restore(source.portable.dump(MOMENT));
        assert.deepEqual(await linesOf(target), await linesOf(source));
        assert.deepEqual(await target.admin.listKeys(), await source.admin.listKeys());
        assert.deepEqual(await seen(target, plain!.id), await seen(source, plain!.id));
        assert.deepEqual(await seen(target, long!.id), await seen(source, long!.id));
        // Lists, expiries and fences are those of a store that has always had it.
        const listed = { owner: OWNER, limit: 10, after: null, order: 'asc' } as const;
        const found = await target.listSessions({ ...listed, metadata: plain!.metadata });
        assert.deepEqual(
          found.data,
          (await source.listSessions({ ...listed, metadata: {} })).data.slice(0, 1),
        );
        await runTurn(target, running!);
        await runTurn(target, plain!, { outcome: { completedAt: 200_000 } });
        assert.equal(await sweepAll(target, 200_000), 1, 'one has a time to live');
        assert.equal(await target.getSession(OWNER, long!.id), null);
      });
    });
  });
}

export function describePortable(name: string, open: OpenPortable): void {
  const sentence = (
    title: string,
    check: (store: OpenedStore, other: OpenedStore) => Promise<void>,
  ): void => {
    test(title, (context) => withStores(context, [open, open], ([store, other]) => check(store, other)));
  };

  describe(`${name} as a whole`, () => {
    sentence('an empty store has no records', async (store, other) => {
      assert.deepEqual([await store.portable.countSessions(), await recordsOf(store)], [0, []]);
      assert.deepEqual(await other.portable.restore(streamOf([])), { sessions: 0, known: 0 });
    });

    sentence('items that were deleted are in no record, nor is what was discarded of them', async (store) => {
      const session = await createdSession(store);
      const [asked, answer] = [userMessage('first secret'), answerMessage('second secret')];
      const trace = [{ kind: 'restart', reason: 'stalled', message: 'third secret' }] as const;
      await runTurn(store, session, { input: [asked], outcome: { output: [answer], trace } });
      const secrets = async () => JSON.stringify(await recordsOf(store)).match(/\w+ secret/g);
      assert.deepEqual(await secrets(), ['first secret', 'second secret', 'third secret']);
      for (const { id } of [asked, answer]) await store.deleteItem(OWNER, session.id, id);
      assert.equal(await secrets(), null);
    });

    sentence('sessions are counted, deleted ones are not', async (store) => {
      const [session] = [await createdSession(store), await createdSession(store, { owner: 'b' })];
      assert.equal(await store.portable.countSessions(), 2);
      await store.deleteSession(OWNER, session.id);
      assert.equal(await store.portable.countSessions(), 1);
    });

    sentence('records come in their order', async (store) => {
      await fillStore(store);
      const records = await recordsOf(store);
      const kinds = records.map(({ kind }) => kind).filter((kind, at, all) => kind !== all[at - 1]);
      const [kept, rest] = [kinds.slice(0, 7), kinds.slice(7)];
      const wanted = ['client', 'key', 'bypass', 'stoppedProvider', 'knownTool', 'audit', 'usage'];
      assert.deepEqual(kept, wanted);
      assert.deepEqual(
        rest.filter((kind) => kind !== 'turn' && kind !== 'turnKey'),
        [...Array.from({ length: 4 }, () => 'session'), 'sessionKey'],
      );
      const ids = records.flatMap(({ kind, value }) => (kind === 'session' ? [value.id] : []));
      assert.deepEqual(ids, ids.toSorted());
    });

    sentence('a turn that runs has failed in the records, and goes on in the store', async (store) => {
      const session = await createdSession(store);
      const { turnId, fence } = await begin(store, session);
      const turns = (await recordsOf(store)).filter(({ kind }) => kind === 'turn');
      assert.equal(turns.length, 1);
      const [{ value }] = turns as [Extract<PortableRecord, { kind: 'turn' }>];
      assert.deepEqual([value.id, value.status, value.completedAt], [turnId, 'failed', MOMENT.now]);
      assert.deepEqual(JSON.parse(value.record).error, RESTARTED);
      const renewed = { running: [{ sessionId: session.id, turnId, fence }], waiting: [] };
      const lost = await store.renewTurns({ ...renewed, leaseMilliseconds: 1000 });
      assert.deepEqual(lost, { lost: [], cancelled: [] });
    });

    sentence('a request is the same in the other store, unless its key has expired', async (store, other) => {
      const [key, ofSession, past] = [sampleKey(), sampleKey(), sampleKey({ expiresAt: MOMENT.now })];
      const session = sampleSession();
      await store.createSession(session, [], ofSession);
      const turnId = await runTurn(store, session, { key });
      await runTurn(store, session, { key: past });
      await other.portable.restore(store.portable.dump(MOMENT));
      const again = await other.beginTurn(sampleBegin(session, { key }));
      assert.deepEqual(again.kind === 'replay' && again.turn.id, turnId);
      const reused = await other.beginTurn(sampleBegin(session, { key: { ...key, fingerprint: 'f2' } }));
      assert.equal(reused.kind, 'key_reused');
      assert.equal((await other.beginTurn(sampleBegin(session, { key: past }))).kind, 'begun');
      const made = await other.createSession(sampleSession(), [], ofSession);
      assert.deepEqual(made.kind === 'replay' && made.session.id, session.id);
    });

    sentence('what is there already stays as it is', async (store, other) => {
      await fillStore(store);
      const records = await recordsOf(store);
      await other.portable.restore(streamOf(records));
      const before = await linesOf(other);
      assert.deepEqual(await other.portable.restore(streamOf(records)), { sessions: 0, known: 4 });
      assert.deepEqual(await linesOf(other), before);

      const known = records.find(({ kind }) => kind === 'session')!.value as { id: string; owner: string };
      await other.updateSession(known.owner, known.id, { title: 'Mine' }, 9000);
      await other.portable.restore(streamOf(records));
      assert.equal((await other.getSession(known.owner, known.id))?.title, 'Mine');
    });

    sentence('records of before there were known tools are taken as they are', async (store, other) => {
      await fillStore(store);
      const records = (await recordsOf(store)).filter(({ kind }) => kind !== 'knownTool');
      assert.deepEqual(await other.portable.restore(streamOf(records)), { sessions: 4, known: 0 });
      assert.deepEqual(await other.admin.listKnownTools(), []);
      assert.deepEqual(await linesOf(other), records.map(recordLine).toSorted());
    });

    sentence('a tool that is known already stays as it was accepted there', async (store, other) => {
      await fillStore(store);
      const [known] = await store.admin.listKnownTools();
      const mine = { ...known!, accepted: { ...known!.accepted, fingerprint: 'mine' }, waiting: null };
      await other.admin.addKnownTools([mine]);
      await other.portable.restore(store.portable.dump(MOMENT));
      assert.deepEqual((await other.admin.listKnownTools())[0], mine);
    });

    sentence('what is broken off shows no half of a session, and is done again', async (store, other) => {
      await fillStore(store);
      const records = await recordsOf(store);
      const sessionsAt = records.flatMap(({ kind }, at) => (kind === 'session' ? [at] : []));
      // In the middle of the operators' part, of a session's turns, of the keys.
      for (const end of [3, sessionsAt[0]! + 3, sessionsAt[2]! + 120, records.length - 1]) {
        const cut = async function* () {
          yield* records.slice(0, end);
          throw new Error('cut');
        };
        await assert.rejects(other.portable.restore(cut()), /cut/);
        for (const at of sessionsAt) {
          const { id, owner } = (records[at] as Extract<PortableRecord, { kind: 'session' }>).value;
          const session = await other.getSession(owner, id);
          if (session?.headTurnId) {
            assert.ok(await other.getTurn(owner, id, session.headTurnId), 'the session is whole');
          }
        }
        if (end < sessionsAt[1]!) assert.equal(await other.portable.countSessions(), 0);
      }
      await other.portable.restore(streamOf(records));
      assert.deepEqual(await linesOf(other), await linesOf(store));
    });

    sentence('a session that was deleted can come back', async (store) => {
      const session = await createdSession(store, { metadata: { a: 'b' } });
      await runTurn(store, session, { key: sampleKey() });
      const [records, before] = [await recordsOf(store), await linesOf(store)];
      await store.deleteSession(OWNER, session.id);
      assert.deepEqual(await recordsOf(store), []);
      await store.portable.restore(streamOf(records));
      assert.deepEqual(await linesOf(store), before);
      await sweepAll(store, 0);
      assert.deepEqual(await linesOf(store), before);
    });

    sentence('a session that is deleted while it is read is none', async (store, other) => {
      const [session, kept] = [await createdSession(store), await createdSession(store)];
      for (let turn = 0; turn < 30; turn += 1) await runTurn(store, session);
      const whileRead = async function* () {
        for await (const record of store.portable.dump(MOMENT)) {
          yield record;
          if (record.kind === 'session') await store.deleteSession(OWNER, session.id);
        }
      };
      const records = await collected(whileRead());
      assert.ok(records.some(({ kind }) => kind === 'sessionGone'));
      assert.deepEqual(await other.portable.restore(streamOf(records)), { sessions: 1, known: 0 });
      assert.equal(await other.getSession(OWNER, session.id), null);
      assert.ok(await other.getSession(OWNER, kept.id));
    });

    sentence('records that do not belong together are refused', async (store, other) => {
      const session = await createdSession(store);
      const first = await runTurn(store, session);
      await runTurn(store, session);
      const [head, one, two] = (await recordsOf(store)) as [PortableRecord, PortableRecord, PortableRecord];
      for (const [records, reason] of [
        [[one], /does not follow it/],
        [[head, one], /head of session/],
        [[head, two], new RegExp(first)],
      ] as const) {
        await assert.rejects(other.portable.restore(streamOf(records)), reason);
        assert.equal(await other.getSession(OWNER, session.id), null);
      }
    });

    sentence('records are asked for a bounded number ahead of what is written', async (store, other) => {
      const session = await createdSession(store);
      await runTurn(store, session);
      const [head, turn] = (await recordsOf(store)) as [
        Extract<PortableRecord, { kind: 'session' }>,
        Extract<PortableRecord, { kind: 'turn' }>,
      ];
      let mostAhead = 0;
      const many = async function* (): AsyncGenerator<PortableRecord> {
        for (let made = 0; made < MANY_SESSIONS; made += 1) {
          const id = `s-${String(made).padStart(5, '0')}`;
          const turnId = `t-${made}`;
          yield { kind: 'session', value: { ...head.value, id, headTurnId: turnId } };
          yield { kind: 'turn', value: { ...turn.value, id: turnId, sessionId: id } };
          if (made % 50 === 0) {
            mostAhead = Math.max(mostAhead, made - (await other.portable.countSessions()));
          }
        }
      };
      await other.portable.restore(many());
      assert.ok(mostAhead <= 1100, `${mostAhead} sessions were taken ahead of what was written`);
      assert.equal(await other.portable.countSessions(), MANY_SESSIONS);
    });

    test('a store that is closed says so', async (context) => {
      const store = await open(context);
      await store.close();
      await rejectsWith(store.portable.countSessions(), 'store_unavailable');
      const provider = { provider: 'demo', note: null, stoppedAt: 1 };
      const records = streamOf([{ kind: 'stoppedProvider', value: provider }]);
      await rejectsWith(store.portable.restore(records), 'store_unavailable');
      await rejectsWith(recordsOf(store), 'store_unavailable');
    });
  });
}

/** All that can be asked of a session: what its store has derived is in the answers. */
/** What the store shows of a session; where `keepsPlaces` is false, what does not hang on the places of turns. */
async function seen(store: OpenedStore, id: string, keepsPlaces = true) {
  const byId = ({ id: own }: { id: string }) => own;
  const turns = await allPages(
    (after) => store.listTurns(OWNER, id, { limit: 20, after, order: 'asc' }),
    byId,
  );
  const pages = (order: 'asc' | 'desc') =>
    allPages(
      (after) => store.listItems(OWNER, id, { limit: 7, after, order }),
      ({ item }) => item.id,
    );
  const paths = [];
  for (const turn of turns.slice(-20)) {
    const query = { owner: OWNER, sessionId: id, turnId: turn.id };
    const whole = (await store.readPath({ ...query, reach: WHOLE_PATH }))!;
    const path = whole.path.map(({ placesBefore, ...one }) => (keepsPlaces ? { ...one, placesBefore } : one));
    paths.push({ ...whole, path });
    if (keepsPlaces)
      paths.push(await store.readPath({ ...query, reach: { places: null, defaultPlaces: 5, taken: 1 } }));
  }
  return {
    session: await store.getSession(OWNER, id),
    turns,
    items: [await pages('asc'), await pages('desc')],
    paths,
  };
}

async function withStores(
  context: TestContext,
  [openOne, openOther]: readonly [OpenPortable, OpenPortable],
  work: (stores: readonly [OpenedStore, OpenedStore]) => Promise<void>,
): Promise<void> {
  const one = await openOne(context);
  const other = await openOther(context);
  try {
    await work([one, other]);
  } finally {
    await one.close();
    await other.close();
  }
}
