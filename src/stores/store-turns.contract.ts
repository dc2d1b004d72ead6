/** The part of the store's contract that speaks of single turns: their beginning, their end, reading them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../conversation/id.ts';
import { type Item, takesPlace } from '../conversation/item.ts';
import type { FinalStatus } from '../conversation/turn.ts';
import type { TurnClaim } from './store.ts';
import {
  allPages,
  answerMessage,
  begin,
  createdSession,
  ids,
  type OpenStore,
  OWNER,
  opened,
  RESTARTED,
  reasoning,
  rejectsWith,
  runTurn,
  SERVED,
  sampleBegin,
  sampleCall,
  sampleOutcome,
  userMessage,
  WHOLE_PATH,
} from './store-samples.contract.ts';

export function describeTurns(open: OpenStore): void {
  test('a turn that has begun is in progress, with its input', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const input = [userMessage('One'), userMessage('Two')];
    const begun = await begin(store, session, { input, createdAt: 2222 });
    assert.deepEqual(begun.session, session);
    assert.deepEqual([begun.path, begun.parentId], [[], null]);
    assert.deepEqual(await store.getTurn(OWNER, session.id, begun.turnId), {
      id: begun.turnId,
      sessionId: session.id,
      parentId: null,
      status: 'in_progress',
      input,
      output: [],
      provider: null,
      model: null,
      providerSource: null,
      finishReason: null,
      attempts: [],
      usage: null,
      error: null,
      seenPlaces: 0,
      trace: null,
      createdAt: 2222,
      completedAt: null,
    });
  });

  test('a committed turn has its outcome, is the head, and is followed by the next', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const input = [userMessage()];
    const outcome = sampleOutcome({ completedAt: 3333 });
    const first = await runTurn(store, session, { input, outcome });
    assert.deepEqual(await store.getTurn(OWNER, session.id, first), {
      ...outcome,
      id: first,
      sessionId: session.id,
      parentId: null,
      input,
      createdAt: 2000,
    });
    const after = await store.getSession(OWNER, session.id);
    assert.deepEqual(after, { ...session, headTurnId: first, servedBy: SERVED, updatedAt: 3333 });
    const second = await begin(store, session);
    assert.equal(second.parentId, first);
    assert.deepEqual(second.session, after);
    assert.equal((await store.getTurn(OWNER, session.id, second.turnId))?.parentId, first);
  });

  test('items come back verbatim and in the order given', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const strange = {
      ...userMessage('\u{1F600} \ud800 "\\ \u0000 \u2028'),
      later_field: { deep: [1.5, null, { '': true }] },
      metadata: { __proto__x: 'y' },
    } as Item;
    const repeated = userMessage('twice');
    const input = [strange, repeated, reasoning(), repeated];
    const output: Item[] = [
      reasoning(),
      { type: 'function_call', id: 'fc_1', call_id: 'c', name: 'f', arguments: '{bad', status: 'completed' },
      { type: 'function_call_output', id: 'fco_1', call_id: 'c', output: 'out', status: 'completed' },
      answerMessage(),
    ];
    const turnId = await runTurn(store, session, { input, outcome: { output } });
    const turn = await store.getTurn(OWNER, session.id, turnId);
    assert.deepEqual([turn!.input, turn!.output], [input, output]);
    const { path } = await begin(store, session);
    assert.deepEqual([path[0]!.input, path[0]!.output], [input, output]);
  });

  const text = [reasoning(), answerMessage()];
  const joining: readonly [FinalStatus, boolean, Item[], string][] = [
    ['completed', true, text, ''],
    ['completed', true, [], ' without output'],
    ['incomplete', true, text, ''],
    ['failed', false, text, ''],
    ['cancelled', true, text, ' with text'],
    ['cancelled', false, [reasoning()], ' before its text'],
  ];
  for (const [status, joins, output, how] of joining) {
    test(`a turn that ends ${status}${how} ${joins ? 'joins' : 'does not join'} the conversation`, async (context) => {
      await using store = await opened(open, context);
      const session = await createdSession(store);
      const first = await runTurn(store, session);
      const before = await store.getSession(OWNER, session.id);
      const outcome = sampleOutcome({ status, output, error: RESTARTED, usage: null, completedAt: 4000 });
      const second = await runTurn(store, session, { outcome });
      const { headTurnId, updatedAt } = (await store.getSession(OWNER, session.id))!;
      assert.deepEqual([headTurnId, updatedAt], joins ? [second, 4000] : [first, before!.updatedAt]);
      const turn = await store.getTurn(OWNER, session.id, second);
      assert.deepEqual([turn!.status, turn!.error, turn!.output], [status, RESTARTED, outcome.output]);
      const items = await store.listItems(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
      assert.equal(items!.data.length, joins ? 3 + output.filter(takesPlace).length : 2);
      const query = { owner: OWNER, sessionId: session.id, turnId: second, reach: WHOLE_PATH };
      assert.deepEqual(ids((await store.readPath(query))!.path), joins ? [second, first] : []);
      // The session is free, and only what joins can be followed.
      const next = await store.beginTurn(sampleBegin(session, { parentTurnId: second }));
      assert.equal(next.kind, joins ? 'begun' : 'unusable_parent');
    });
  }

  test('a session has one running turn, however many begin at once', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const requests = Array.from({ length: 5 }, () => sampleBegin(session));
    const outcomes = await Promise.all(requests.map((request) => store.beginTurn(request)));
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'begun').length, 1);
    const winner = requests[outcomes.findIndex((outcome) => outcome.kind === 'begun')]!.turnId;
    for (const outcome of outcomes) {
      if (outcome.kind !== 'begun') assert.deepEqual(outcome, { kind: 'busy', turnId: winner });
    }
    const turns = await store.listTurns(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
    assert.deepEqual(ids(turns!.data), [winner]);
  });

  test('what cannot begin says why, and leaves nothing', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const elsewhere = await runTurn(store, await createdSession(store));
    assert.deepEqual(await store.beginTurn(sampleBegin({ ...session, id: newId() })), {
      kind: 'missing',
      what: 'session',
    });
    for (const parentTurnId of [newId(), elsewhere]) {
      const outcome = await store.beginTurn(sampleBegin(session, { parentTurnId }));
      assert.deepEqual(outcome, { kind: 'missing', what: 'parent' });
    }
    const turns = await store.listTurns(OWNER, session.id, { limit: 9, after: null, order: 'asc' });
    assert.deepEqual(turns, { data: [], hasMore: false });
    // A busy session says so before it looks at the parent.
    const { turnId } = await begin(store, session);
    const outcome = await store.beginTurn(sampleBegin(session, { parentTurnId: newId() }));
    assert.deepEqual(outcome, { kind: 'busy', turnId });
  });

  test('a turn can follow any turn of the conversation, or none', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const first = await runTurn(store, session);
    const second = await runTurn(store, session);
    const branch = await runTurn(store, session, { parentTurnId: first });
    assert.equal((await store.getSession(OWNER, session.id))!.headTurnId, branch);
    const restart = await begin(store, session, { parentTurnId: null });
    assert.deepEqual([restart.parentId, restart.path], [null, []]);
    const outcome = sampleOutcome();
    const { turnId, fence } = restart;
    assert.equal(await store.commitTurn({ sessionId: session.id, turnId, fence, outcome }), true);
    const back = await begin(store, session, { parentTurnId: second });
    assert.deepEqual(ids(back.path), [second, first]);
  });

  test('a commit without the fence, or a second one, has no effect', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const other = await createdSession(store);
    const { turnId, fence } = await begin(store, session);
    const commit = { sessionId: session.id, turnId, fence, outcome: sampleOutcome() };
    assert.equal(await store.commitTurn({ ...commit, fence: fence + 1 }), false);
    assert.equal(await store.commitTurn({ ...commit, turnId: newId() }), false);
    assert.equal(await store.commitTurn({ ...commit, sessionId: other.id }), false);
    assert.equal((await store.getTurn(OWNER, session.id, turnId))!.status, 'in_progress');
    assert.equal(await store.commitTurn(commit), true);
    const committed = await store.getTurn(OWNER, session.id, turnId);
    const late = sampleOutcome({ status: 'failed', output: [answerMessage('late')] });
    assert.equal(await store.commitTurn({ ...commit, outcome: late }), false);
    assert.deepEqual(await store.getTurn(OWNER, session.id, turnId), committed);
    assert.notEqual((await begin(store, session)).fence, fence);
  });

  test('interrupted turns fail, free their sessions, and cannot be committed', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const done = await runTurn(store, session);
    const input = [userMessage('left')];
    const left = await begin(store, session, { input });
    await begin(store, await createdSession(store));
    assert.equal(await store.failInterrupted(RESTARTED, 5000), 2);
    assert.equal(await store.failInterrupted(RESTARTED, 6000), 0);
    const turn = await store.getTurn(OWNER, session.id, left.turnId);
    assert.deepEqual(
      [turn!.status, turn!.error, turn!.completedAt, turn!.input, turn!.output, turn!.attempts],
      ['failed', RESTARTED, 5000, input, [], []],
    );
    assert.deepEqual([turn!.trace, turn!.seenPlaces], [null, 0]);
    assert.equal((await store.getTurn(OWNER, session.id, done))!.status, 'completed');
    assert.equal((await store.getSession(OWNER, session.id))!.headTurnId, done);
    const { turnId, fence } = left;
    const late = { sessionId: session.id, turnId, fence, outcome: sampleOutcome() };
    assert.equal(await store.commitTurn(late), false);
    const next = await begin(store, session);
    assert.deepEqual(ids(next.path), [done]);
    assert.equal(await store.commitTurn(late), false);
  });

  test('what was asked comes back with the turn, as it was given', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const asked = {
      metadata: { é: '\ud800' },
      temperature: 0.1,
      tools: [{ type: 'function', strict: null }],
    };
    const turnId = await runTurn(store, session, { outcome: { asked } });
    assert.deepEqual((await store.getTurn(OWNER, session.id, turnId))!.asked, asked);
    const other = await runTurn(store, session);
    assert.ok(!('asked' in (await store.getTurn(OWNER, session.id, other))!));
  });

  test('calls that a turn has noted are all there is of it if its process dies', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const { turnId, fence } = await begin(store, session);
    const claim = { sessionId: session.id, turnId, fence };
    const calls = [sampleCall({ status: 'completed', output: 'b' }), sampleCall({ call_id: 'call-2' })];
    assert.equal(await store.noteCalls(claim, calls.slice(0, 1)), true);
    assert.equal(await store.noteCalls(claim, calls), true);
    const running = await store.getTurn(OWNER, session.id, turnId);
    assert.deepEqual([running!.status, running!.output], ['in_progress', []]);
    await store.failInterrupted(RESTARTED, 5000);
    const left = await store.getTurn(OWNER, session.id, turnId);
    assert.deepEqual([left!.status, left!.error, left!.output], ['failed', RESTARTED, calls]);
    // Calls of a turn that is over, or of another fence, are nobody's.
    assert.equal(await store.noteCalls(claim, []), false);
    const next = await begin(store, session);
    assert.deepEqual(next.path, []);
    assert.equal(await store.noteCalls({ ...claim, turnId: next.turnId }, calls), false);
    assert.equal(await store.noteCalls({ ...claim, fence: next.fence }, calls), false);
    assert.deepEqual(await store.getTurn(OWNER, session.id, turnId), left);
  });

  test('a commit brings its own output, whatever was noted', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const { turnId, fence } = await begin(store, session);
    const claim = { sessionId: session.id, turnId, fence };
    await store.noteCalls(claim, [sampleCall()]);
    const outcome = sampleOutcome();
    assert.equal(await store.commitTurn({ ...claim, outcome }), true);
    assert.deepEqual((await store.getTurn(OWNER, session.id, turnId))!.output, outcome.output);
    const next = await begin(store, session);
    assert.deepEqual(next.path[0]!.output, outcome.output);
    await store.failInterrupted(RESTARTED, 5000);
    assert.deepEqual((await store.getTurn(OWNER, session.id, next.turnId))!.output, []);
  });

  test('a renewal names the turns that do not hold their session', async (context) => {
    await using store = await opened(open, context);
    const [first, second] = [await createdSession(store), await createdSession(store)];
    const held = await begin(store, first, { leaseMilliseconds: 600_000 });
    const claim = { sessionId: first.id, turnId: held.turnId, fence: held.fence };
    const done = await runTurn(store, second);
    const others = [
      { ...claim, fence: held.fence + 1 },
      { sessionId: second.id, turnId: done, fence: 1 },
      { sessionId: newId(), turnId: newId(), fence: 1 },
    ];
    const renew = async (running: readonly TurnClaim[]) =>
      (await store.renewTurns({ running, waiting: [], leaseMilliseconds: 600_000 })).lost;
    assert.deepEqual(await renew([claim]), []);
    assert.deepEqual(
      await renew([...others, claim]),
      others.map(({ turnId }) => turnId),
    );
  });

  test('all turns are listed in the order of their beginning', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const made: string[] = [];
    const later = newId();
    const states: readonly FinalStatus[] = ['completed', 'failed', 'incomplete', 'cancelled', 'completed'];
    for (const status of states)
      made.push(await runTurn(store, session, { outcome: { status }, createdAt: 9 }));
    made.push(await runTurn(store, session, { parentTurnId: made[0]!, createdAt: 1 }));
    // An id that sorts before the others: neither ids nor times decide.
    made.push((await begin(store, session, { turnId: `0${later.slice(1)}`, createdAt: 0 })).turnId);
    await runTurn(store, await createdSession(store));
    for (const order of ['asc', 'desc'] as const) {
      const expected = order === 'asc' ? made : made.toReversed();
      for (const limit of [1, 3, 7]) {
        const all = await allPages(
          (after) => store.listTurns(OWNER, session.id, { limit, after, order }),
          (turn) => turn.id,
        );
        assert.deepEqual(ids(all), expected);
        assert.deepEqual(all[0], await store.getTurn(OWNER, session.id, all[0]!.id));
      }
    }
    const page = { limit: 5, after: null, order: 'asc' } as const;
    assert.equal(await store.listTurns(OWNER, newId(), page), null);
    await rejectsWith(store.listTurns(OWNER, session.id, { ...page, after: newId() }), 'invalid_cursor');
  });

  test('a turn is found only in its own session', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const other = await createdSession(store);
    const turnId = await runTurn(store, session);
    assert.equal((await store.getTurn(OWNER, session.id, turnId))?.id, turnId);
    assert.equal(await store.getTurn(OWNER, other.id, turnId), null);
    assert.equal(await store.getTurn(OWNER, session.id, newId()), null);
  });
}
