import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newId } from '../../conversation/id.ts';
import type { Item } from '../../conversation/item.ts';
import { openMemoryStore } from '../sqlite.ts';
import { OWNER, opened, runTurn, sampleBegin, sampleSession } from '../store-samples.contract.ts';
import { createKnownTurns, type TurnName } from './known-turns.ts';

const name = (sequence: number): TurnName => ({ sequence, id: `turn-${sequence}` });

function turnOf({ id }: TurnName, text = 'x') {
  const input: Item[] = [
    { type: 'message', id: 'm', role: 'user', status: 'completed', content: [{ type: 'input_text', text }] },
  ];
  return { turn: { id, placesBefore: 0, input, output: [], createdAt: 1, completedAt: 2 }, parent: null };
}

describe('known turns', () => {
  it('are found by number and id together', () => {
    const known = createKnownTurns(10_000);
    known.remember(1, turnOf(name(1)), 100);
    assert.equal(known.find(name(1))?.turn.id, 'turn-1');
    assert.equal(known.find({ sequence: 1, id: 'of another session' }), undefined);
    assert.equal(known.find(name(2)), undefined);
    known.forgetAll();
    assert.equal(known.find(name(1)), undefined);
  });

  it('cannot be changed by whoever is given them', () => {
    const known = createKnownTurns(10_000);
    known.remember(1, turnOf(name(1)), 100);
    const { turn } = known.find(name(1))!;
    assert.throws(() => turn.input.pop(), TypeError);
    assert.throws(() => Object.assign(turn.input[0]!, { id: 'another' }), TypeError);
  });

  it('are no more than fit, of which those stay that were asked for last', () => {
    const known = createKnownTurns(5000);
    for (const sequence of [1, 2, 3]) known.remember(sequence, turnOf(name(sequence)), 1000);
    assert.ok(known.find(name(1)));
    known.remember(4, turnOf(name(4)), 1000);
    const there = [1, 2, 3, 4].filter((sequence) => known.find(name(sequence)) !== undefined);
    assert.deepEqual(there, [1, 3, 4]);
    // The same again takes no more room.
    for (let round = 0; round < 10; round += 1) known.remember(4, turnOf(name(4)), 1000);
    assert.ok(known.find(name(1)));
    known.remember(5, turnOf(name(5)), 10_000);
    assert.equal(known.find(name(5)), undefined);
  });
});

describe('paths on SQLite', () => {
  const reach = { places: null, defaultPlaces: 20, taken: 0 };

  it('show what was deleted no more, however often they were read before', async (context) => {
    await using store = await opened(async () => openMemoryStore(), context);
    const session = sampleSession();
    await store.createSession(session);
    for (let turn = 0; turn < 5; turn += 1) await runTurn(store, session);
    const read = async () => {
      const found = await store.readPath({ owner: OWNER, sessionId: session.id, turnId: undefined, reach });
      return found!.path.flatMap(({ input, output }) => [...input, ...output].map(({ id }) => id));
    };
    const before = await read();
    assert.deepEqual(await read(), before);
    for (const id of new Set(before)) {
      await store.deleteItem(OWNER, session.id, id);
      assert.ok(!(await read()).includes(id));
    }
  });

  it('of a session do not show what was in another one that is gone', async (context) => {
    await using store = await opened(async () => openMemoryStore(), context);
    const gone = sampleSession();
    await store.createSession(gone);
    for (let turn = 0; turn < 5; turn += 1) await runTurn(store, gone);
    const query = { owner: OWNER, turnId: undefined, reach };
    assert.equal((await store.readPath({ ...query, sessionId: gone.id }))!.path.length, 5);
    await store.deleteSession(OWNER, gone.id);
    while ((await store.sweep(Date.now(), null)).more) continue;
    const session = sampleSession();
    await store.createSession(session);
    const made: string[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const begun = await store.beginTurn(sampleBegin(session, { turnId: newId() }));
      assert.ok(begun.kind === 'begun');
      assert.deepEqual(
        begun.path.map(({ id }) => id),
        made.toReversed(),
      );
      await store.failInterrupted({ code: 'server_restarted', message: '' }, Date.now());
      made.push(await runTurn(store, session));
    }
  });
});
