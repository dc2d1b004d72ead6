/** The part of the store's contract that speaks of what nobody can want any more, and of its removal. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../conversation/session.ts';
import type { Store } from './store.ts';
import {
  begin,
  createdSession,
  ids,
  type OpenStore,
  OWNER,
  opened,
  RESTARTED,
  runTurn,
  sampleBegin,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sampleTurns,
  sweepAll,
  userMessage,
} from './store-samples.contract.ts';

export function describeSweep(open: OpenStore): void {
  test('no turn begins in a session that has expired', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { ttlSeconds: 2, updatedAt: 1000 });
    const key = sampleKey();
    const missing = { kind: 'missing', what: 'session' };
    assert.deepEqual(await store.beginTurn(sampleBegin(session, { createdAt: 3000 })), missing);
    const { turnId, fence } = await begin(store, session, { createdAt: 2999, key });
    // A turn that began in time ends, and its end puts the expiry off.
    const outcome = sampleOutcome({ completedAt: 9000 });
    assert.equal(await store.commitTurn({ sessionId: session.id, turnId, fence, outcome }), true);
    assert.deepEqual(await store.beginTurn(sampleBegin(session, { createdAt: 11_000, key })), missing);
    assert.equal((await store.beginTurn(sampleBegin(session, { createdAt: 10_999, key }))).kind, 'replay');
    await begin(store, session, { createdAt: 10_999 });
  });

  test('a sweep removes the sessions that have expired, and no others', async (context) => {
    await using store = await opened(open, context);
    const metadata = { a: '1' };
    const expired = await createdSession(store, { ttlSeconds: 1, metadata });
    const later = await createdSession(store, { ttlSeconds: 2 });
    const moved = await createdSession(store, { ttlSeconds: 1 });
    await runTurn(store, moved, { outcome: { completedAt: 1500 }, createdAt: 1400 });
    const prolonged = await createdSession(store, { ttlSeconds: 1 });
    await store.updateSession(OWNER, prolonged.id, { ttlSeconds: 60 }, 1000);
    const kept = await createdSession(store, { ttlSeconds: 1 });
    await store.updateSession(OWNER, kept.id, { ttlSeconds: null }, 1000);
    const shortened = await createdSession(store);
    await store.updateSession(OWNER, shortened.id, { ttlSeconds: 1 }, 1000);
    const endless = await createdSession(store);
    assert.equal(await sweepAll(store, 1999), 0);
    assert.equal(await sweepAll(store, 2000), 2);
    await assertGone(store, expired, shortened);
    const query = { owner: OWNER, limit: 100, after: null, order: 'asc' } as const;
    assert.deepEqual(
      ids((await store.listSessions({ ...query, metadata: {} })).data),
      ids([later, moved, prolonged, kept, endless]),
    );
    assert.deepEqual((await store.listSessions({ ...query, metadata })).data, []);
    assert.equal(await sweepAll(store, 2500), 1);
    await assertGone(store, moved);
    assert.equal(await sweepAll(store, 1e12), 2);
    assert.deepEqual(ids((await store.listSessions({ ...query, metadata: {} })).data), ids([kept, endless]));
  });

  test('a sweep removes the sessions that nobody has changed for long', async (context) => {
    await using store = await opened(open, context);
    const idle = await createdSession(store, { updatedAt: 1000 });
    const active = await createdSession(store, { updatedAt: 1000 });
    await runTurn(store, active, { outcome: { completedAt: 5000 } });
    const renamed = await createdSession(store, { updatedAt: 1000 });
    await store.updateSession(OWNER, renamed.id, { title: 'x' }, 6000);
    assert.equal(await sweepAll(store, 9000), 0);
    assert.equal(await sweepAll(store, 9000, 900), 0);
    assert.equal(await sweepAll(store, 9000, 4000), 1);
    await assertGone(store, idle);
    assert.equal(await sweepAll(store, 9000, 4000), 0);
    // What comes after a sweep is found by the next, however old it is.
    const late = await createdSession(store, { updatedAt: 500 });
    assert.equal(await sweepAll(store, 9000, 4500), 1);
    await assertGone(store, late);
    assert.equal(await sweepAll(store, 9000, 5500), 1);
    await assertGone(store, active);
    assert.equal(await sweepAll(store, 9000, 5500), 0);
    assert.notEqual(await store.getSession(OWNER, renamed.id), null);
  });

  test('a sweep leaves a session alone while its turn runs', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { ttlSeconds: 5, updatedAt: 1000 });
    const { turnId, fence } = await begin(store, session, { createdAt: 2000 });
    assert.equal(await sweepAll(store, 1e12, 1e12), 0);
    const outcome = sampleOutcome({ status: 'failed', error: RESTARTED });
    assert.equal(await store.commitTurn({ sessionId: session.id, turnId, fence, outcome }), true);
    assert.equal(await sweepAll(store, 1e12, 1e12), 1);
    await assertGone(store, session);
  });

  test('many sessions are removed a few at a time, and nothing of theirs is left', async (context) => {
    await using store = await opened(open, context);
    const key = sampleKey();
    const turns = sampleTurns(180);
    const items = Array.from({ length: 700 }, () => userMessage());
    turns[100] = { ...turns[100]!, input: items };
    const long = sampleSession({ headTurnId: turns.at(-1)!.id });
    await store.createSession(long, turns, key);
    for (let made = 0; made < 120; made += 1) await runTurn(store, long, { key: sampleKey(), input: [] });
    const idle: Session[] = [];
    for (let made = 0; made < 70; made += 1) {
      idle.push(await createdSession(store, made % 2 === 0 ? { ttlSeconds: 1 } : {}));
    }
    await store.deleteSession(OWNER, long.id);
    await assertGone(store, long);
    // Deleted and not swept yet: its key is new.
    assert.equal((await store.createSession(sampleSession({ updatedAt: 5000 }), [], key)).kind, 'created');
    const first = await store.sweep(4000, 3000);
    assert.equal(first.more, true);
    assert.ok(first.sessions < idle.length);
    assert.equal(first.sessions + (await sweepAll(store, 4000, 3000)), idle.length);
    await assertGone(store, ...idle);
    assert.deepEqual(await store.sweep(4000, 3000), { sessions: 0, more: false });
    // The same ids can be stored again.
    await store.createSession(long, turns);
    assert.equal((await begin(store, long)).path.length, turns.length);
  });

  test('a sweep takes expired keys, and only those', async (context) => {
    await using store = await opened(open, context);
    const short = sampleKey({ expiresAt: 5000 });
    const long = sampleKey({ expiresAt: 6000 });
    const session = sampleSession();
    await store.createSession(session, [], long);
    await runTurn(store, session, { key: short });
    await runTurn(store, session, { key: long });
    await store.createSession(sampleSession(), [], short);
    await sweepAll(store, 5000);
    const request = { createdAt: 2000, mayBegin: false };
    // Asked for a time at which neither had expired, so only the sweep can have taken one.
    const gone = await store.beginTurn(sampleBegin(session, { ...request, key: short }));
    assert.deepEqual(gone, { kind: 'busy', turnId: null });
    const kept = await store.beginTurn(sampleBegin(session, { ...request, key: long }));
    assert.equal(kept.kind, 'replay');
    assert.equal((await store.createSession(sampleSession(), [], long)).kind, 'replay');
    assert.equal((await store.createSession(sampleSession(), [], short)).kind, 'created');
  });
}

async function assertGone(store: Store, ...sessions: Session[]): Promise<void> {
  for (const session of sessions) {
    assert.equal(await store.getSession(OWNER, session.id), null);
    assert.equal(await store.deleteSession(OWNER, session.id), false);
    assert.equal((await store.beginTurn(sampleBegin(session))).kind, 'missing');
  }
}
