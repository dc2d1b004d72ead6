/** The part of the store's contract that speaks of items that are deleted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../conversation/id.ts';

import type { Session } from '../conversation/session.ts';
import type { Turn } from '../conversation/turn.ts';
import type { Store } from './store.ts';
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
  sampleBegin,
  sampleCall,
  sampleKey,
  sampleOutcome,
  sampleSession,
  sampleTurns,
  userMessage,
  WHOLE_PATH,
} from './store-samples.contract.ts';

export function describeItems(open: OpenStore): void {
  test('an item is deleted from input and output, and the rest of its turn stays as it was', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    // What parsing and writing would change, or an engine refuse.
    const odd = {
      ...userMessage('half \ud800 and \0 and "],[{'),
      id: 'odd "id" \\',
      extra: [1e21, { b: 1, a: 2 }],
    };
    const [asked, thought, answer] = [userMessage('secret'), reasoning(), answerMessage('secret')];
    const key = sampleKey();
    const turnId = await runTurn(store, session, {
      input: [odd, asked],
      key,
      outcome: { output: [thought, answer] },
    });
    const [before, sessionBefore] = [await turnOf(store, session, turnId), await sessionOf(store, session)];

    assert.equal(await store.deleteItem(OWNER, session.id, asked.id), true);
    const withoutInput: Turn = { ...before, input: [odd] };
    assert.deepEqual(await turnOf(store, session, turnId), withoutInput);
    assert.equal(await store.deleteItem(OWNER, session.id, thought.id), true);
    assert.deepEqual(await turnOf(store, session, turnId), {
      ...withoutInput,
      output: [answer],
      trace: null,
    });
    assert.equal(await store.deleteItem(OWNER, session.id, answer.id), true);
    assert.equal(await store.deleteItem(OWNER, session.id, odd.id), true);
    const empty = { ...before, input: [], output: [], trace: null };
    assert.deepEqual(await turnOf(store, session, turnId), empty);
    const page = { limit: 9, after: null, order: 'asc' } as const;
    assert.deepEqual(await store.listTurns(OWNER, session.id, page), { data: [empty], hasMore: false });
    assert.deepEqual(await store.listItems(OWNER, session.id, page), { data: [], hasMore: false });
    assert.deepEqual(await sessionOf(store, session), sessionBefore);
    assert.deepEqual(await store.beginTurn(sampleBegin(session, { key })), { kind: 'replay', turn: empty });
  });

  test('what is not there is not deleted: another id, owner or session, or the same once more', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const other = await createdSession(store);
    const [item, call] = [userMessage(), sampleCall()];
    const turnId = await runTurn(store, session, { input: [item] });
    const running = await begin(store, session);
    // Noted, and no output before the turn is over.
    await store.noteCalls({ sessionId: session.id, turnId: running.turnId, fence: running.fence }, [call]);
    for (const [owner, sessionId, itemId] of [
      ['somebody', session.id, item.id],
      [OWNER, other.id, item.id],
      [OWNER, newId(), item.id],
      [OWNER, session.id, turnId],
      [OWNER, session.id, 'message'],
      [OWNER, session.id, ''],
      [OWNER, session.id, call.id],
    ] as const) {
      assert.equal(await store.deleteItem(owner, sessionId, itemId), false, itemId);
    }
    assert.deepEqual((await turnOf(store, session, turnId)).input, [item]);
    const twice = [1, 2, 3].map(() => store.deleteItem(OWNER, session.id, item.id));
    assert.equal((await Promise.all(twice)).filter((deleted) => deleted).length, 1);
    assert.equal(await store.deleteItem(OWNER, session.id, item.id), false);
    assert.equal(await store.failInterrupted(RESTARTED, 5000), 1);
    assert.equal(await store.deleteItem(OWNER, session.id, call.id), true);
    assert.deepEqual((await turnOf(store, session, running.turnId)).output, []);
  });

  test('an item goes from every turn that has it, on every branch, whatever became of the turn', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const [shared, kept] = [userMessage(), answerMessage()];
    const first = await runTurn(store, session, { input: [shared, userMessage(), shared] });
    const made = [first];
    for (const status of ['failed', 'cancelled', 'completed'] as const) {
      const outcome = { status, output: [kept, { ...reasoning(), id: shared.id }] };
      made.push(await runTurn(store, session, { parentTurnId: first, outcome }));
    }
    const running = await begin(store, session, { parentTurnId: null, input: [shared] });
    const copied = await createdSession(store);
    await runTurn(store, copied, { input: [shared] });
    assert.equal(await store.deleteItem(OWNER, session.id, shared.id), true);
    for (const turnId of [...made, running.turnId]) {
      const { input, output } = await turnOf(store, session, turnId);
      assert.ok(![...input, ...output].some(({ id }) => id === shared.id));
    }
    assert.deepEqual((await turnOf(store, session, made[1]!)).output, [kept]);
    const page = { limit: 9, after: null, order: 'asc' } as const;
    assert.equal((await store.listItems(OWNER, copied.id, page))!.data[0]!.item.id, shared.id);
    for (const order of ['asc', 'desc'] as const) {
      await rejectsWith(
        store.listItems(OWNER, session.id, { ...page, after: shared.id, order }),
        'invalid_cursor',
      );
    }
  });

  test('the input of a turn that runs can be deleted, and the turn is committed', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const [asked, answer] = [userMessage(), answerMessage()];
    const { turnId, fence } = await begin(store, session, { input: [asked] });
    assert.equal(await store.deleteItem(OWNER, session.id, asked.id), true);
    const outcome = sampleOutcome({ output: [answer] });
    assert.equal(await store.commitTurn({ sessionId: session.id, turnId, fence, outcome }), true);
    const turn = await turnOf(store, session, turnId);
    assert.deepEqual([turn.status, turn.input, turn.output], ['completed', [], [answer]]);
    assert.deepEqual(turn.trace, outcome.trace);
    assert.equal((await sessionOf(store, session)).headTurnId, turnId);
  });

  test('items are deleted while turns are committed, and neither undoes the other', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    for (let round = 0; round < 8; round += 1) {
      const [asked, other, answer] = [userMessage(), userMessage(), answerMessage()];
      const { turnId, fence } = await begin(store, session, { input: [asked, other] });
      const outcome = sampleOutcome({ output: [answer] });
      const all = await Promise.all([
        store.deleteItem(OWNER, session.id, asked.id),
        store.commitTurn({ sessionId: session.id, turnId, fence, outcome }),
        store.deleteItem(OWNER, session.id, other.id),
      ]);
      assert.deepEqual(all, [true, true, true]);
      const turn = await turnOf(store, session, turnId);
      assert.deepEqual([turn.status, turn.input, turn.output], ['completed', [], [answer]]);
    }
  });

  test('places stay as they were counted, for paths and for turns to come', async (context) => {
    await using store = await opened(open, context);
    const turns = sampleTurns(3);
    const session = sampleSession({ headTurnId: turns[2]!.id });
    await store.createSession(session, turns);
    for (const { id } of turns[1]!.output) await store.deleteItem(OWNER, session.id, id);
    for (const { id } of [...turns[2]!.input, ...turns[2]!.output]) {
      await store.deleteItem(OWNER, session.id, id);
    }
    const reach = { places: 3, defaultPlaces: 0, taken: 0 };
    const query = { owner: OWNER, sessionId: session.id, turnId: undefined, reach };
    const { path } = (await store.readPath(query))!;
    assert.deepEqual(
      path.map(({ id, placesBefore, input, output }) => [id, placesBefore, input, output]),
      [
        [turns[2]!.id, 4, [], []],
        [turns[1]!.id, 2, turns[1]!.input, []],
      ],
    );
    assert.deepEqual((await begin(store, session, { reach })).path, path);
    await store.failInterrupted(RESTARTED, 5000);
    const next = await runTurn(store, session);
    const whole = (await store.readPath({ ...query, reach: WHOLE_PATH }))!;
    assert.deepEqual([whole.path[0]!.id, whole.path[0]!.placesBefore, whole.path.length], [next, 6, 4]);
  });

  test('pages are full, and the last says so, however much was deleted between their items', async (context) => {
    await using store = await opened(open, context);
    const turns = sampleTurns(12);
    const session = sampleSession({ headTurnId: turns[11]!.id });
    await store.createSession(session, turns);
    const all = turns.flatMap((turn) => [...turn.input, ...turn.output]);
    const gone = new Set(
      ids(all.filter((_, index) => index % 24 < 9 || (index > 10 && index < 19) || index === 23)),
    );
    for (const id of gone) assert.equal(await store.deleteItem(OWNER, session.id, id), true);
    const left = ids(all).filter((id) => !gone.has(id));
    assert.equal(left.length, 6);
    for (const order of ['asc', 'desc'] as const) {
      const expected = order === 'asc' ? left : left.toReversed();
      for (const limit of [1, 2, 3, 6, 7]) {
        const sizes: number[] = [];
        const read = async (after: string | null) => {
          const page = await store.listItems(OWNER, session.id, { limit, after, order });
          sizes.push(page!.data.length);
          return page;
        };
        const listed = await allPages(read, ({ item }) => item.id);
        assert.deepEqual(ids(listed.map(({ item }) => item)), expected);
        assert.equal(sizes.length, Math.ceil(6 / limit), `${order} by ${limit}: ${sizes.join(', ')}`);
      }
    }
  });

  test('a cancelled turn without its message stays where it was, and counts as incomplete', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const [answer, thought] = [answerMessage(), reasoning()];
    const output = [thought, answer];
    const turnId = await runTurn(store, session, { outcome: { status: 'cancelled', output } });
    // Its trace goes with the first item of the output, whichever that is, and its state with the message.
    await store.deleteItem(OWNER, session.id, thought.id);
    assert.equal((await turnOf(store, session, turnId)).status, 'cancelled');
    await store.deleteItem(OWNER, session.id, answer.id);
    assert.equal((await turnOf(store, session, turnId)).status, 'incomplete');
    assert.equal((await sessionOf(store, session)).headTurnId, turnId);
    assert.deepEqual(ids((await begin(store, session, { parentTurnId: turnId })).path), [turnId]);
  });
}

async function turnOf(store: Store, session: Session, turnId: string): Promise<Turn> {
  return (await store.getTurn(session.owner, session.id, turnId))!;
}

async function sessionOf(store: Store, session: Session): Promise<Session> {
  return (await store.getSession(session.owner, session.id))!;
}
