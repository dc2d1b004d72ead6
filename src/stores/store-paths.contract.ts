/** The part of the store's contract that speaks of paths: windows, and the items of a conversation. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../conversation/id.ts';
import type { Session } from '../conversation/session.ts';
import type { Reach, Store } from './store.ts';
import {
  allPages,
  answerMessage,
  begin,
  createdSession,
  ids,
  type OpenStore,
  OWNER,
  opened,
  reasoning,
  rejectsWith,
  runTurn,
  sampleSession,
  sampleTurns,
  userMessage,
  WHOLE_PATH,
} from './store-samples.contract.ts';

const places = (count: number, taken = 0): Reach => ({ places: count, defaultPlaces: 0, taken });

export function describePaths(open: OpenStore): void {
  test('a path is read newest first, in whole turns, until the places are reached', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    // Turns of 2, 3, 0 and 2 places.
    const made = [
      await runTurn(store, session),
      await runTurn(store, session, { outcome: { output: [reasoning(), answerMessage(), answerMessage()] } }),
      await runTurn(store, session, { input: [], outcome: { output: [reasoning()] } }),
      await runTurn(store, session),
    ];
    const [first, second, third, fourth] = made;
    const expected: readonly [Reach, (string | undefined)[]][] = [
      [places(0), []],
      [places(1), [fourth]],
      [places(2), [fourth]],
      [places(3), [fourth, third, second]],
      [places(5), [fourth, third, second]],
      [places(6), [fourth, third, second, first]],
      [places(99), [fourth, third, second, first]],
      [places(6, 1), [fourth, third, second]],
      [places(3, 3), []],
      [places(3, 9), []],
      [{ places: null, defaultPlaces: 2, taken: 0 }, [fourth]],
    ];
    for (const [reach, turns] of expected) assert.deepEqual(await readIds(store, session, reach), turns);
    const read = await store.readPath({
      owner: OWNER,
      sessionId: session.id,
      turnId: undefined,
      reach: places(9),
    });
    assert.deepEqual(
      read!.path.map((turn) => turn.placesBefore),
      [5, 5, 2, 0],
    );
    // beginTurn reads the same.
    const begun = await begin(store, session, { reach: places(6) });
    assert.deepEqual(begun.path, read!.path);
  });

  test("the session's own limit counts where the request has none", async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store, { memoryLimit: 4 });
    const made: string[] = [];
    for (let turn = 0; turn < 4; turn += 1) made.unshift(await runTurn(store, session));
    const limited = await readIds(store, session, { places: null, defaultPlaces: 8, taken: 0 });
    assert.deepEqual(limited, made.slice(0, 2));
    assert.deepEqual(await readIds(store, session, places(8)), made);
    const begun = await begin(store, session, { reach: { places: null, defaultPlaces: 8, taken: 1 } });
    assert.deepEqual(ids(begun.path), made.slice(0, 2));
  });

  test('a path has the items and times of its turns', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const input = [userMessage()];
    const output = [reasoning(), answerMessage()];
    const id = await runTurn(store, session, { input, createdAt: 77, outcome: { output, completedAt: 88 } });
    const { path } = await begin(store, session);
    assert.deepEqual(path, [{ id, placesBefore: 0, input, output, createdAt: 77, completedAt: 88 }]);
  });

  test('a path can end with any turn of the conversation', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const first = await runTurn(store, session);
    const second = await runTurn(store, session);
    const failed = await runTurn(store, session, { outcome: { status: 'failed' } });
    const branch = await runTurn(store, session, { parentTurnId: first });
    const elsewhere = await runTurn(store, await createdSession(store));
    assert.deepEqual(await readIds(store, session, WHOLE_PATH), [branch, first]);
    assert.deepEqual(await readIds(store, session, WHOLE_PATH, second), [second, first]);
    const running = await begin(store, session);
    for (const turnId of [failed, elsewhere, newId(), running.turnId]) {
      assert.deepEqual(await readIds(store, session, WHOLE_PATH, turnId), []);
    }
    const query = { owner: OWNER, sessionId: session.id, turnId: second, reach: WHOLE_PATH };
    const read = await store.readPath(query);
    assert.deepEqual(read!.session, await store.getSession(OWNER, session.id));
    assert.equal(await store.readPath({ ...query, sessionId: newId() }), null);
  });

  test('the items of the path to the head are listed, with the times of their turns', async (context) => {
    await using store = await opened(open, context);
    const session = await createdSession(store);
    const [hello, answer] = [userMessage(), answerMessage()];
    const first = await runTurn(store, session, {
      input: [hello],
      createdAt: 50,
      outcome: { output: [reasoning(), answer], completedAt: 40 },
    });
    await runTurn(store, session, { outcome: { status: 'failed' } });
    await begin(store, session);
    const page = { limit: 10, after: null, order: 'asc' } as const;
    assert.deepEqual(await store.listItems(OWNER, session.id, page), {
      data: [
        { item: hello, turnId: first, createdAt: 50 },
        { item: answer, turnId: first, createdAt: 40 },
      ],
      hasMore: false,
    });
    assert.equal(await store.listItems(OWNER, newId(), page), null);
    const empty = await createdSession(store);
    assert.deepEqual(await store.listItems(OWNER, empty.id, page), { data: [], hasMore: false });
  });

  test('items are paged from any item of the path, in both orders', async (context) => {
    await using store = await opened(open, context);
    const turns = sampleTurns(9);
    const session = sampleSession({ headTurnId: turns[8]!.id });
    await store.createSession(session, turns);
    const abandoned = userMessage();
    await runTurn(store, session, { input: [abandoned] });
    const hidden = reasoning();
    const long = [answerMessage(), answerMessage(), hidden, answerMessage(), answerMessage()];
    const branch = [userMessage()];
    await runTurn(store, session, { parentTurnId: turns[8]!.id, input: branch, outcome: { output: long } });
    const expected = ids([
      ...turns.flatMap((turn) => [...turn.input, ...turn.output]),
      ...branch,
      ...long.filter((item) => item !== hidden),
    ]);
    for (const order of ['asc', 'desc'] as const) {
      for (const limit of [1, 2, 3, 5, 23]) {
        const all = await allPages(
          (after) => store.listItems(OWNER, session.id, { limit, after, order }),
          (placed) => placed.item.id,
        );
        assert.deepEqual(
          ids(all.map((placed) => placed.item)),
          order === 'asc' ? expected : expected.toReversed(),
        );
      }
      for (const after of [abandoned.id, hidden.id, 'msg_unknown']) {
        await rejectsWith(store.listItems(OWNER, session.id, { limit: 5, after, order }), 'invalid_cursor');
      }
    }
  });

  test('a fork has items of the same ids, and its pages are its own', async (context) => {
    await using store = await opened(open, context);
    const turns = sampleTurns(2);
    const origin = sampleSession({ headTurnId: turns[1]!.id });
    await store.createSession(origin, turns);
    const copies = turns.map((turn) => ({ ...turn, id: newId() }));
    const fork = sampleSession({ headTurnId: copies[1]!.id });
    await store.createSession(fork, copies);
    const after = turns[0]!.input[0]!.id;
    const page = await store.listItems(OWNER, fork.id, { limit: 1, after, order: 'asc' });
    assert.deepEqual([page!.data[0]!.item, page!.data[0]!.turnId], [turns[0]!.output[0], copies[0]!.id]);
    await store.deleteSession(OWNER, fork.id);
    const kept = await store.listItems(OWNER, origin.id, { limit: 9, after: null, order: 'asc' });
    assert.equal(kept!.data.length, 4);
  });
}

async function readIds(store: Store, session: Session, reach: Reach, turnId?: string): Promise<string[]> {
  const read = await store.readPath({ owner: OWNER, sessionId: session.id, turnId, reach });
  return ids(read!.path);
}
