/**
 * Random histories, told to a store and to a model of it that is too simple to be wrong: arrays in memory.
 * They must agree on every answer. Conversations grow into trees of some depth here, which the other tests
 * lack.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { countPlaces, type McpCallItem, takesPlace } from '../conversation/item.ts';
import type { Session } from '../conversation/session.ts';
import { joinsConversation, type Turn } from '../conversation/turn.ts';
import type { Store } from './store.ts';
import {
  answerMessage,
  ids,
  type OpenStore,
  OWNER,
  opened,
  RESTARTED,
  reasoning,
  SERVED,
  sampleBegin,
  sampleCall,
  sampleOutcome,
  sampleSession,
} from './store-samples.contract.ts';

interface ModelSession {
  session: Session;
  turns: Turn[];
  running: { turnId: string; fence: number; calls: McpCallItem[] } | null;
  /** By the id of a turn, the places that its items took when they were stored. */
  places: Map<string, number>;
  /** By its text, the turn that a key stands for and the fingerprint. */
  keys: Map<string, { turn: Turn; fingerprint: string }>;
}

const UNFINISHED = {
  status: 'in_progress',
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
  completedAt: null,
} as const;

/** One step of a history. Numbers choose among what there is at that moment. */
const step = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('create' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), session: fc.nat(9) }) },
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('begin' as const),
      session: fc.nat(9),
      // Mostly the head; null starts again; a number is any turn of the session.
      parent: fc.oneof(
        { weight: 6, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.constant(null) },
        { weight: 2, arbitrary: fc.nat(99) },
      ),
      places: fc.nat(12),
      key: fc.option(
        fc.record({ value: fc.constantFrom('k', 'l'), fingerprint: fc.constantFrom('f', 'f', 'f', 'g') }),
      ),
      mayBegin: fc.integer({ min: 0, max: 9 }).map((number) => number > 0),
    }),
  },
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      session: fc.nat(9),
      status: fc.constantFrom('completed', 'completed', 'completed', 'incomplete', 'failed', 'cancelled'),
      output: fc.array(fc.boolean(), { maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('note' as const), session: fc.nat(9), calls: fc.nat(3) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('deleteItem' as const),
      session: fc.nat(9),
      item: fc.nat(99),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('page' as const),
      session: fc.nat(9),
      after: fc.option(fc.nat(99)),
      limit: fc.integer({ min: 1, max: 6 }),
      order: fc.constantFrom('asc', 'desc'),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

export const histories: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 1, maxLength: 60 });

export function describeModel(open: OpenStore): void {
  test('any history gives what a model of it gives', async (context) => {
    await using store = await opened(open, context);
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const sessionIds = await playHistory(store, history);
        for (const sessionId of sessionIds) await store.deleteSession(OWNER, sessionId);
      }),
      { numRuns: 60 },
    );
  });
}

/** Returns the ids of the sessions that are there at its end, all of them `OWNER`'s. */
export async function playHistory(store: Store, history: readonly Step[]): Promise<string[]> {
  const model: ModelSession[] = [];
  for (const one of [{ kind: 'create' as const }, ...history]) await play(store, model, one);
  return model.map(({ session }) => session.id);
}

async function play(store: Store, model: ModelSession[], step: Step): Promise<void> {
  if (step.kind === 'create') {
    const session = sampleSession();
    await store.createSession(session);
    model.push({ session, turns: [], running: null, places: new Map(), keys: new Map() });
    return;
  }
  if (step.kind === 'crash') return playCrash(store, model);
  if (step.kind === 'sweep') {
    // No session of the model expires or is old: only what deleted ones have left goes.
    assert.equal((await store.sweep(6000, 1000)).sessions, 0);
    return;
  }
  const chosen = model[step.session % Math.max(model.length, 1)];
  if (chosen === undefined) return;
  if (step.kind === 'delete') {
    assert.equal(await store.deleteSession(OWNER, chosen.session.id), true);
    model.splice(model.indexOf(chosen), 1);
  } else if (step.kind === 'begin') {
    await playBegin(store, chosen, step);
  } else if (step.kind === 'commit') {
    await playCommit(store, chosen, step);
  } else if (step.kind === 'note') {
    await playNote(store, chosen, step.calls);
  } else if (step.kind === 'deleteItem') {
    await playDeleteItem(store, chosen, step.item);
  } else {
    await playPage(store, chosen, step);
  }
}

async function playCrash(store: Store, model: ModelSession[]): Promise<void> {
  const left = model.filter((one) => one.running !== null);
  assert.equal(await store.failInterrupted(RESTARTED, 7000), left.length);
  for (const one of left) {
    const turn = one.turns.at(-1)!;
    const output = one.running?.calls;
    Object.assign(turn, { status: 'failed', error: RESTARTED, completedAt: 7000, output });
    one.running = null;
  }
}

async function playBegin(
  store: Store,
  chosen: ModelSession,
  step: Extract<Step, { kind: 'begin' }>,
): Promise<void> {
  const { session, turns, running } = chosen;
  const named =
    typeof step.parent === 'number' ? turns[step.parent % Math.max(turns.length, 1)]?.id : step.parent;
  const reach = { places: step.places, defaultPlaces: 1, taken: 1 };
  const key = step.key && { ...step.key, expiresAt: 100_000 };
  const { mayBegin } = step;
  const request = sampleBegin(session, { parentTurnId: named, reach, key, mayBegin });
  const outcome = await store.beginTurn(request);
  const known = chosen.keys.get(key?.value ?? '');
  const parentId = named === undefined ? session.headTurnId : named;
  const parent = turns.find((turn) => turn.id === parentId);
  if (known && known.fingerprint !== key?.fingerprint) {
    assert.deepEqual(outcome, { kind: 'key_reused' });
  } else if (known && known.turn.status !== 'failed') {
    assert.deepEqual(outcome, { kind: 'replay', turn: known.turn });
  } else if (running !== null) {
    assert.deepEqual(outcome, { kind: 'busy', turnId: running.turnId });
  } else if (!mayBegin) {
    assert.deepEqual(outcome, { kind: 'busy', turnId: null });
  } else if (parent && !joinsConversation(parent)) {
    assert.deepEqual(outcome, { kind: 'unusable_parent' });
  } else {
    assert.equal(outcome.kind, 'begun');
    if (outcome.kind !== 'begun') return;
    assert.deepEqual([outcome.session, outcome.parentId], [session, parentId]);
    assert.deepEqual(outcome.retries, known?.turn ?? null);
    assert.deepEqual(ids(outcome.path), expectedPath(chosen, parentId, step.places - 1));
    const { turnId: id, input, createdAt } = request;
    const turn: Turn = { ...UNFINISHED, id, sessionId: session.id, parentId, input, createdAt };
    turns.push(turn);
    chosen.places.set(id, countPlaces(input));
    if (key !== null) chosen.keys.set(key.value, { turn, fingerprint: key.fingerprint });
    chosen.running = { turnId: id, fence: outcome.fence, calls: [] };
  }
}

async function playNote(
  store: Store,
  { session, turns, running }: ModelSession,
  count: number,
): Promise<void> {
  const calls = Array.from({ length: count }, () => sampleCall());
  const { turnId, fence } = running ?? { turnId: turns.at(-1)?.id ?? 'none', fence: 1 };
  const held = await store.noteCalls({ sessionId: session.id, turnId, fence }, calls);
  assert.equal(held, running !== null);
  if (running !== null) running.calls = calls;
}

async function playDeleteItem(store: Store, chosen: ModelSession, index: number): Promise<void> {
  const { session, turns } = chosen;
  const items = turns.flatMap((turn) => [...turn.input, ...turn.output]);
  const id = items[index % Math.max(items.length, 1)]?.id;
  assert.equal(await store.deleteItem(OWNER, session.id, id ?? 'none'), id !== undefined);
  const turn = turns.find(({ input, output }) => [...input, ...output].some((item) => item.id === id));
  if (turn === undefined) return;
  const without = (from: Turn['input']) => from.filter((item) => item.id !== id);
  const isOutput = turn.output.some((item) => item.id === id);
  const joined = joinsConversation(turn);
  Object.assign(turn, { input: without(turn.input), output: without(turn.output) });
  if (isOutput) Object.assign(turn, { trace: null });
  if (joined && !joinsConversation(turn)) Object.assign(turn, { status: 'incomplete' });
  assert.deepEqual(await store.getTurn(OWNER, session.id, turn.id), turn);
}

async function playCommit(
  store: Store,
  chosen: ModelSession,
  step: Extract<Step, { kind: 'commit' }>,
): Promise<void> {
  const { session, running } = chosen;
  const output = step.output.map((placed) => (placed ? answerMessage() : reasoning()));
  const outcome = sampleOutcome({ status: step.status, output, completedAt: 5000 });
  const { turnId, fence } = running ?? { turnId: chosen.turns.at(-1)?.id ?? 'none', fence: 1 };
  const held = await store.commitTurn({ sessionId: session.id, turnId, fence, outcome });
  assert.equal(held, running !== null);
  if (running === null) return;
  const turn = Object.assign(chosen.turns.at(-1)!, outcome);
  if (joinsConversation(turn)) {
    chosen.session = { ...session, headTurnId: turn.id, servedBy: SERVED, updatedAt: 5000 };
    // Its input was counted when it began, and keeps its places when some of it is deleted.
    chosen.places.set(turn.id, chosen.places.get(turn.id)! + countPlaces(turn.output));
  }
  chosen.running = null;
  assert.deepEqual(await store.getTurn(OWNER, session.id, turn.id), turn);
}

async function playPage(
  store: Store,
  chosen: ModelSession,
  step: Extract<Step, { kind: 'page' }>,
): Promise<void> {
  const { session, turns } = chosen;
  const { limit, order } = step;
  const path = expectedPath(chosen, session.headTurnId, Number.POSITIVE_INFINITY).toReversed();
  const onPath = path.map((id) => turns.find((turn) => turn.id === id)!);
  const items = onPath.flatMap((turn) => [...turn.input, ...turn.output]).filter(takesPlace);
  if (order === 'desc') items.reverse();
  const index = step.after === null || items.length === 0 ? -1 : step.after % items.length;
  const after = items[index]?.id ?? null;
  const page = await store.listItems(OWNER, session.id, { limit, after, order });
  const got = page!.data.map((placed) => placed.item);
  assert.deepEqual(got, items.slice(index + 1, index + 1 + limit));
  assert.equal(page!.hasMore, index + 1 + limit < items.length);
  const listed = await store.listTurns(OWNER, session.id, { limit, after: null, order });
  const expected = order === 'asc' ? turns : turns.toReversed();
  assert.deepEqual(listed!.data, expected.slice(0, limit));
}

/** The ids of the turns on the path, newest first, until the places are reached. */
function expectedPath({ turns, places }: ModelSession, newest: string | null, wanted: number): string[] {
  const path: string[] = [];
  let reached = 0;
  for (let id = newest; id !== null && reached < wanted; ) {
    const turn = turns.find((one) => one.id === id)!;
    path.push(turn.id);
    reached += places.get(turn.id)!;
    id = turn.parentId;
  }
  return path;
}
