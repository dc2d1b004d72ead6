/**
 * The part of the store's contract that holds for shared stores alone: leases and lines. Each test has two stores on
 * the same data, as two servers would. Leases end by the engine's clock, which is waited for.
 */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { newId } from '../conversation/id.ts';
import type { Session } from '../conversation/session.ts';
import type { Store, TurnBegin, TurnRenewal } from './store.ts';
import {
  begin,
  createdSession,
  ids,
  OWNER,
  RESTARTED,
  sampleBegin,
  sampleOutcome,
} from './store-samples.contract.ts';

/** Longer than any test. */
const LONG = 600_000;
const SHORT = 100;

/** Without a turn that runs: somebody stands before. */
const BUSY = { kind: 'busy', turnId: null };

/** Gives two stores on the same new, empty data; the suite closes them. */
export type OpenPair = (context: TestContext) => Promise<[Store, Store]>;

export function describeSharedStore(name: string, open: OpenPair): void {
  const sentence = (text: string, check: (one: Store, other: Store) => Promise<void>) =>
    test(text, async (context) => {
      const [one, other] = await open(context);
      try {
        await check(one, other);
      } finally {
        await Promise.all([one.close(), other.close()]);
      }
    });

  describe(`shared by servers: ${name}`, () => {
    sentence('it says that it is', async (one) => assert.equal(one.isShared, true));

    sentence('what one server has written the other reads', async (one, other) => {
      const session = await createdSession(one);
      const { turnId } = await begin(one, session, { leaseMilliseconds: LONG });
      assert.equal((await other.getTurn(OWNER, session.id, turnId))?.status, 'in_progress');
      const busy = await other.beginTurn(sampleBegin(session));
      assert.deepEqual(busy, { kind: 'busy', turnId });
    });

    sentence('of beginnings at once, one turn begins', async (one, other) => {
      const session = await createdSession(one);
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (index % 2 === 0 ? one : other).beginTurn(sampleBegin(session, { leaseMilliseconds: LONG })),
        ),
      );
      assert.equal(outcomes.filter(({ kind }) => kind === 'begun').length, 1);
    });

    sentence('a lease that is not over keeps its turn, whoever starts or looks', async (one, other) => {
      const session = await createdSession(one);
      const { turnId, fence } = await begin(one, session, { leaseMilliseconds: LONG });
      assert.equal(await other.failInterrupted(RESTARTED, 5000), 0);
      assert.equal(await commit(one, session, turnId, fence), true);
    });

    sentence('a turn whose lease is over is failed, and its server comes too late', async (one, other) => {
      const session = await createdSession(one);
      const { turnId, fence } = await begin(one, session, { leaseMilliseconds: SHORT });
      await until(async () => (await other.failInterrupted(RESTARTED, 5000)) === 1);
      const turn = await other.getTurn(OWNER, session.id, turnId);
      assert.deepEqual([turn?.status, turn?.error, turn?.completedAt], ['failed', RESTARTED, 5000]);
      const next = await begin(other, session, { leaseMilliseconds: LONG });
      assert.ok(next.fence > fence, 'fences grow');
      assert.equal(await commit(one, session, turnId, fence), false);
      const claim = { sessionId: session.id, turnId, fence };
      const renewal = { running: [claim], waiting: [], leaseMilliseconds: LONG };
      assert.deepEqual((await one.renewTurns(renewal)).lost, [turnId]);
      assert.equal(await commit(other, session, next.turnId, next.fence), true);
    });

    sentence('a lease that is renewed lasts as long again, from then on', async (one, other) => {
      const [kept, left] = [await createdSession(one), await createdSession(one)];
      const held = await begin(one, kept, { leaseMilliseconds: SHORT });
      await begin(one, left, { leaseMilliseconds: SHORT });
      const claim = { sessionId: kept.id, turnId: held.turnId, fence: held.fence };
      const renewal = { running: [claim], waiting: [], leaseMilliseconds: LONG };
      assert.deepEqual(await one.renewTurns(renewal), { lost: [], cancelled: [] });
      await until(async () => (await other.failInterrupted(RESTARTED, 5000)) === 1);
      await pause(2 * SHORT);
      assert.equal(await other.failInterrupted(RESTARTED, 5000), 0);
      assert.equal(await commit(one, kept, held.turnId, held.fence), true);
      assert.deepEqual(
        (await one.renewTurns(renewal)).lost,
        [held.turnId],
        'a turn that is over has no lease',
      );
    });

    sentence(
      'a turn that somebody wants to end is named to its server, until it is over',
      async (one, other) => {
        const session = await createdSession(one);
        const { turnId, fence } = await begin(one, session, { leaseMilliseconds: LONG });
        const running = [{ sessionId: session.id, turnId, fence }];
        const renew = () => one.renewTurns({ running, waiting: [], leaseMilliseconds: LONG });
        await other.cancelTurn('somebody else', session.id, turnId);
        await other.cancelTurn(OWNER, session.id, newId());
        assert.deepEqual(await renew(), { lost: [], cancelled: [] });
        await other.cancelTurn(OWNER, session.id, turnId);
        assert.deepEqual(await renew(), { lost: [], cancelled: [turnId] });
        assert.deepEqual(await renew(), { lost: [], cancelled: [turnId] });
        assert.equal(await commit(one, session, turnId, fence), true);
        await other.cancelTurn(OWNER, session.id, turnId);
        const next = await begin(one, session, { leaseMilliseconds: LONG });
        const following = [{ sessionId: session.id, turnId: next.turnId, fence: next.fence }];
        const renewed = await one.renewTurns({ running: following, waiting: [], leaseMilliseconds: LONG });
        assert.deepEqual(renewed, { lost: [], cancelled: [] });
      },
    );

    sentence(
      'turns wait in the order of their asking, whatever the clocks of their servers say',
      async (one, other) => {
        const session = await createdSession(one);
        const running = await begin(one, session, { leaseMilliseconds: LONG });
        const [second, first] = [newId(), newId()];
        const ask = (store: Store, turnId: string) => store.beginTurn(inLine(session, turnId));
        assert.equal((await ask(one, first)).kind, 'busy');
        assert.equal((await ask(other, second)).kind, 'busy');
        assert.equal((await ask(one, first)).kind, 'busy');
        assert.equal(await commit(one, session, running.turnId, running.fence), true);
        assert.deepEqual(await ask(other, second), { kind: 'busy', turnId: null });
        // Who does not wait is not let in before those who do.
        assert.equal((await other.beginTurn(sampleBegin(session))).kind, 'busy');
        const begun = await ask(one, first);
        assert.ok(begun.kind === 'begun');
        assert.deepEqual(ids(begun.path), [running.turnId]);
        assert.equal((await ask(other, second)).kind, 'busy');
        assert.equal(await commit(one, session, first, begun.fence), true);
        assert.equal((await ask(other, second)).kind, 'begun');
      },
    );

    sentence('those at the front come before those at the end', async (one, other) => {
      const session = await createdSession(one);
      const running = await begin(one, session, { leaseMilliseconds: LONG });
      const [early, late, last] = [newId(), newId(), newId()];
      await one.beginTurn(inLine(session, early));
      await other.beginTurn(inLine(session, late, { line: 'front' }));
      await other.beginTurn(inLine(session, last, { line: 'front' }));
      await commit(one, session, running.turnId, running.fence);
      assert.equal((await one.beginTurn(inLine(session, early))).kind, 'busy');
      assert.equal((await other.beginTurn(inLine(session, last, { line: 'front' }))).kind, 'busy');
      const begun = await other.beginTurn(inLine(session, late, { line: 'front' }));
      assert.ok(begun.kind === 'begun');
    });

    sentence(
      'a turn that may not begin yet takes its place, in a free session as in a busy one',
      async (one, other) => {
        const session = await createdSession(one);
        const [first, second] = [newId(), newId()];
        assert.deepEqual(await one.beginTurn(inLine(session, first, { mayBegin: false })), BUSY);
        assert.deepEqual(await other.beginTurn(inLine(session, second)), BUSY);
        assert.deepEqual(
          await one.beginTurn(sampleBegin(session, { mayBegin: false })),
          BUSY,
          'without a place',
        );
        const begun = await one.beginTurn(inLine(session, first));
        assert.ok(begun.kind === 'begun');
        assert.equal(await commit(one, session, first, begun.fence), true);
        assert.equal((await other.beginTurn(inLine(session, second))).kind, 'begun');
      },
    );

    sentence(
      'who comes back for a place that is gone stands behind those who came since',
      async (one, other) => {
        const session = await createdSession(one);
        const running = await begin(one, session, { leaseMilliseconds: LONG });
        const [late, kept] = [newId(), newId()];
        await one.beginTurn(inLine(session, late, { leaseMilliseconds: SHORT }));
        await pause(2 * SHORT);
        await other.beginTurn(inLine(session, kept));
        await one.beginTurn(inLine(session, late));
        await commit(one, session, running.turnId, running.fence);
        assert.deepEqual(await one.beginTurn(inLine(session, late)), BUSY);
        assert.equal((await other.beginTurn(inLine(session, kept))).kind, 'begun');
      },
    );

    sentence('a place that is given up, or not renewed in time, keeps nobody waiting', async (one, other) => {
      const session = await createdSession(one);
      const running = await begin(one, session, { leaseMilliseconds: LONG });
      const [gaveUp, died, kept] = [newId(), newId(), newId()];
      await other.beginTurn(inLine(session, gaveUp));
      await other.beginTurn(inLine(session, died, { leaseMilliseconds: SHORT }));
      await one.beginTurn(inLine(session, kept, { leaseMilliseconds: SHORT }));
      const waiting = [{ sessionId: session.id, turnId: kept }];
      assert.deepEqual(await lostOf(one, waiting), []);
      await commit(one, session, running.turnId, running.fence);
      await other.leaveLine(session.id, gaveUp);
      await other.leaveLine(session.id, gaveUp);
      await until(async () => (await one.beginTurn(inLine(session, kept))).kind === 'begun');
      const gone = [{ sessionId: session.id, turnId: died }];
      assert.deepEqual(await lostOf(other, gone), [died]);
    });

    sentence('a place in the line is no turn, and is gone with its session', async (one, other) => {
      const session = await createdSession(one);
      const running = await begin(one, session, { leaseMilliseconds: LONG });
      const waiting = newId();
      await other.beginTurn(inLine(session, waiting));
      const page = await one.listTurns(OWNER, session.id, { limit: 10, after: null, order: 'asc' });
      assert.deepEqual(ids(page?.data ?? []), [running.turnId]);
      assert.equal(await one.deleteSession(OWNER, session.id), true);
      const place = [{ sessionId: session.id, turnId: waiting }];
      assert.deepEqual(await lostOf(other, place), [waiting]);
      assert.deepEqual(await other.beginTurn(inLine(session, waiting)), { kind: 'missing', what: 'session' });
    });
  });
}

async function lostOf(store: Store, waiting: TurnRenewal['waiting']): Promise<string[]> {
  return (await store.renewTurns({ running: [], waiting, leaseMilliseconds: LONG })).lost;
}

function inLine(session: Session, turnId: string, change: Partial<TurnBegin> = {}): TurnBegin {
  return sampleBegin(session, { turnId, line: 'end', leaseMilliseconds: LONG, ...change });
}

function commit(store: Store, session: Session, turnId: string, fence: number): Promise<boolean> {
  return store.commitTurn({ sessionId: session.id, turnId, fence, outcome: sampleOutcome() });
}

/** Asks again until the answer is yes; the test's own time limit ends what never is. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await pause(SHORT / 4);
}
