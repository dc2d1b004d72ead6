/** The part of the store's contract that speaks of request keys: what is asked twice is done once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../conversation/id.ts';
import {
  begin,
  createdSession,
  type OpenStore,
  OWNER,
  opened,
  RESTARTED,
  reasoning,
  runTurn,
  sampleBegin,
  sampleCall,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sampleTurns,
} from './store-samples.contract.ts';

const ALL = { limit: 9, after: null, order: 'asc' } as const;

export function describeKeys(open: OpenStore): void {
  test('a turn begun again under its key is the same turn, running or ended', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const { turnId, fence } = await begin(store, session, { key });
    // A parent that does not exist: the key comes first.
    const again = sampleBegin(session, { key, parentTurnId: newId() });
    const running = { kind: 'replay', turn: await store.getTurn(OWNER, session.id, turnId) };
    assert.deepEqual(await store.beginTurn(again), running);
    assert.equal(running.turn!.status, 'in_progress');
    await store.commitTurn({ sessionId: session.id, turnId, fence, outcome: sampleOutcome() });
    const ended = await store.beginTurn(again);
    assert.deepEqual(ended, { kind: 'replay', turn: await store.getTurn(OWNER, session.id, turnId) });
    // Also while another turn runs.
    await begin(store, session);
    assert.deepEqual(await store.beginTurn(again), ended);
    assert.equal((await store.listTurns(OWNER, session.id, ALL))!.data.length, 2);
  });

  test('a key with another fingerprint is refused, whatever has become of its turn', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const other = sampleBegin(session, { key: { ...key, fingerprint: 'f2' } });
    const { turnId, fence } = await begin(store, session, { key });
    assert.deepEqual(await store.beginTurn(other), { kind: 'key_reused' });
    const outcome = sampleOutcome({ status: 'failed', error: RESTARTED });
    await store.commitTurn({ sessionId: session.id, turnId, fence, outcome });
    assert.deepEqual(await store.beginTurn(other), { kind: 'key_reused' });
    assert.equal((await store.listTurns(OWNER, session.id, ALL))!.data.length, 1);
  });

  test('a failed turn is run again under its key, which stands for the new turn then', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const output = [reasoning(), sampleCall()];
    const first = await runTurn(store, session, {
      key,
      outcome: { status: 'failed', error: RESTARTED, output },
    });
    const second = await begin(store, session, { key });
    assert.deepEqual(second.retries, await store.getTurn(OWNER, session.id, first));
    assert.deepEqual(second.retries?.output, output);
    // Left by a process that died: failed as well.
    await store.failInterrupted(RESTARTED, 5000);
    const third = await begin(store, session, { key });
    assert.deepEqual(third.retries, await store.getTurn(OWNER, session.id, second.turnId));
    const { turnId, fence } = third;
    const outcome = sampleOutcome();
    assert.equal(await store.commitTurn({ sessionId: session.id, turnId, fence, outcome }), true);
    const replay = await store.beginTurn(sampleBegin(session, { key }));
    assert.equal(replay.kind === 'replay' && replay.turn.id, turnId);
    assert.equal((await begin(store, session, { key: sampleKey({ value: 'another' }) })).retries, null);
  });

  test('a key that takes over stands for the new request, whatever it stood for', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const takesOver = { ...key, fingerprint: 'another body', takesOver: true } as const;
    const first = await runTurn(store, session, { key });
    const second = await begin(store, session, { key: takesOver });
    assert.equal(second.retries, null);
    const running = await store.beginTurn(sampleBegin(session, { key: takesOver, mayBegin: false }));
    assert.deepEqual(running, { kind: 'busy', turnId: second.turnId });
    assert.deepEqual(await store.beginTurn(sampleBegin(session, { key })), { kind: 'key_reused' });
    const { takesOver: _, ...again } = takesOver;
    const replay = await store.beginTurn(sampleBegin(session, { key: again }));
    assert.equal(replay.kind === 'replay' && replay.turn.id, second.turnId);
    assert.notEqual(first, second.turnId);
  });

  test('a session whose key takes over is another one', async (context) => {
    await using store = await opened(open, context);
    const key = sampleKey();
    const sessions = Array.from({ length: 3 }, () => sampleSession());
    for (const session of sessions) {
      const outcome = await store.createSession(session, [], { ...key, takesOver: true });
      assert.deepEqual(outcome, { kind: 'created' });
    }
    const again = await store.createSession(sampleSession(), [], key);
    assert.equal(again.kind === 'replay' && again.session.id, sessions.at(-1)!.id);
    // Those before are there still.
    for (const { id } of sessions) assert.equal((await store.getSession(OWNER, id))?.id, id);
  });

  test('the session that was made under a key is found by it, by its owner and for the same request', async (context) => {
    await using store = await opened(open, context);
    const key = sampleKey();
    const session = sampleSession();
    const { createdAt: now } = session;
    const found = (asked = key, owner = OWNER, at = now) => store.findSession(owner, asked, at);
    assert.equal(await found(), null);
    // Nothing was made by looking for it.
    assert.deepEqual(await store.createSession(session, [], key), { kind: 'created' });
    assert.deepEqual(await found(), await store.getSession(OWNER, session.id));
    assert.equal((await found())?.id, session.id);
    assert.equal(await found({ ...key, fingerprint: 'another' }), null);
    assert.equal(await found({ ...key, takesOver: true }), null);
    assert.equal(await found(sampleKey({ value: 'another' })), null);
    assert.equal(await found(key, 'client-2'), null);
    assert.equal(await found(key, OWNER, key.expiresAt), null);
    await store.deleteSession(OWNER, session.id);
    assert.equal(await found(), null);
  });

  test('a turn that was cancelled or cut short is not run again', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    for (const status of ['cancelled', 'incomplete'] as const) {
      const key = sampleKey();
      const turnId = await runTurn(store, session, { key, outcome: { status, output: [] } });
      const replay = await store.beginTurn(sampleBegin(session, { key }));
      assert.equal(replay.kind === 'replay' && replay.turn.id, turnId);
    }
  });

  test('a turn that could not begin leaves its key unused', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    assert.equal(
      (await store.beginTurn(sampleBegin(session, { key, parentTurnId: newId() }))).kind,
      'missing',
    );
    const other = await begin(store, session);
    const busy = await store.beginTurn(sampleBegin(session, { key }));
    assert.deepEqual(busy, { kind: 'busy', turnId: other.turnId });
    await store.failInterrupted(RESTARTED, 5000);
    await begin(store, session, { key: { ...key, fingerprint: 'f2' } });
  });

  test('to ask only what a key stands for begins nothing', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const ask = () => store.beginTurn(sampleBegin(session, { key, mayBegin: false }));
    assert.deepEqual(await ask(), { kind: 'busy', turnId: null });
    const failed = await runTurn(store, session, { key, outcome: { status: 'failed', error: RESTARTED } });
    assert.deepEqual(await ask(), { kind: 'busy', turnId: null });
    const running = await begin(store, session);
    assert.deepEqual(await ask(), { kind: 'busy', turnId: running.turnId });
    await store.failInterrupted(RESTARTED, 5000);
    const turnId = await runTurn(store, session, { key });
    assert.deepEqual(await ask(), { kind: 'replay', turn: await store.getTurn(OWNER, session.id, turnId) });
    const turns = (await store.listTurns(OWNER, session.id, ALL))!.data;
    assert.deepEqual(
      turns.map(({ id }) => id),
      [failed, running.turnId, turnId],
    );
  });

  test('a key is new again when it expires, and in every other session', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey({ expiresAt: 5000 });
    await runTurn(store, session, { key, createdAt: 2000 });
    assert.equal((await store.beginTurn(sampleBegin(session, { key, createdAt: 4999 }))).kind, 'replay');
    await runTurn(store, await createdSession(store), { key });
    const later = { ...key, fingerprint: 'f2', expiresAt: 9000 };
    const turnId = await runTurn(store, session, { key: later, createdAt: 5000 });
    const replay = await store.beginTurn(sampleBegin(session, { key: later, createdAt: 8999 }));
    assert.equal(replay.kind === 'replay' && replay.turn.id, turnId);
  });

  test('many turns begun at once under one key are one turn', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const key = sampleKey();
    const requests = Array.from({ length: 5 }, () => sampleBegin(session, { key }));
    const outcomes = await Promise.all(requests.map((request) => store.beginTurn(request)));
    const winner = requests[outcomes.findIndex(({ kind }) => kind === 'begun')]!.turnId;
    const replays = outcomes.filter((outcome) => outcome.kind === 'replay');
    assert.deepEqual(
      replays.map(({ turn }) => turn.id),
      [winner, winner, winner, winner],
    );
  });

  test('a session made again under its key is the same session, as it is now', async (context) => {
    await using store = await opened(open, context);
    const key = sampleKey();
    const session = sampleSession();
    assert.deepEqual(await store.createSession(session, [], key), { kind: 'created' });
    await runTurn(store, session, { key });
    const now = await store.getSession(OWNER, session.id);
    const turns = sampleTurns(1);
    const again = sampleSession({ headTurnId: turns[0]!.id });
    assert.deepEqual(await store.createSession(again, turns, key), { kind: 'replay', session: now });
    assert.equal(await store.getSession(OWNER, again.id), null);
    const other = { ...key, fingerprint: 'f2' };
    assert.deepEqual(await store.createSession(sampleSession(), [], other), { kind: 'key_reused' });
    // Another owner's is another key.
    const elsewhere = await store.createSession(sampleSession({ owner: 'client-2' }), [], other);
    assert.deepEqual(elsewhere, { kind: 'created' });
  });

  test('the key of a session is new when it expires, and when the session is gone', async (context) => {
    await using store = await opened(open, context);
    const key = sampleKey({ expiresAt: 5000 });
    const make = async (createdAt: number, fingerprint: string, ttlSeconds: number | null = null) => {
      const session = sampleSession({ createdAt, updatedAt: createdAt, ttlSeconds });
      const made = await store.createSession(session, [], {
        ...key,
        fingerprint,
        expiresAt: createdAt + 4000,
      });
      return { session, kind: made.kind };
    };
    const first = await make(1000, 'f1');
    assert.equal((await make(4999, 'f1')).kind, 'replay');
    const second = await make(5000, 'f2');
    assert.equal(second.kind, 'created');
    assert.notEqual(await store.getSession(OWNER, first.session.id), null);
    await store.deleteSession(OWNER, second.session.id);
    assert.equal((await make(5001, 'f3', 1)).kind, 'created');
    assert.equal((await make(6000, 'f3')).kind, 'replay');
    // The third has expired, though nobody has swept it.
    assert.equal((await make(6001, 'f4')).kind, 'created');
    assert.equal((await make(6002, 'f4')).kind, 'replay');
  });
}
