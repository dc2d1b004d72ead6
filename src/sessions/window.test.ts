import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { countPlaces, type Item } from '../conversation/item.ts';
import type { PathTurn } from '../stores/store.ts';
import { cutWindow, type WindowLimits, windowItems } from './window.ts';

/** One token per character, so that limits by tokens can be counted by hand. */
const count = (items: readonly Item[]) => JSON.stringify(items.map(textOf)).length;

describe('the window by count', () => {
  it('is the whole path while it fits', () => {
    const path = conversation(3);
    const window = cutWindow(path, limits({ places: 7 }));
    assert.deepEqual(idsOf(window.turns), ['t0', 't1', 't2']);
    assert.deepEqual(window.leftOut, { places: 0, reason: null });
  });

  it('leaves out whole turns, oldest first, and counts the new message', () => {
    const window = cutWindow(conversation(3), limits({ places: 6 }));
    assert.deepEqual(idsOf(window.turns), ['t1', 't2']);
    assert.deepEqual(window.leftOut, { places: 2, reason: 'memory_limit' });
  });

  it('is empty when the new message takes every place', () => {
    const window = cutWindow(conversation(3), limits({ places: 1 }));
    assert.deepEqual(window.turns, []);
    assert.equal(window.leftOut.places, 6);
  });

  it('keeps its start for the turns of a step from 16 places on', () => {
    const starts = Array.from({ length: 40 }, (_, turns) => {
      const window = cutWindow(conversation(turns), limits({ places: 16 }));
      return window.leftOut.places;
    });
    const moves = starts.filter((start, index) => index > 0 && start !== starts[index - 1]);
    assert.ok(moves.length >= 8, 'the start moves');
    assert.ok(
      moves.every((start) => start % 4 === 0),
      'in steps of a quarter',
    );
    assert.ok(moves.length <= starts.length / 2, 'and rests in between');
  });
});

describe('the window by tokens', () => {
  it('leaves out what does not fit beside instructions and input', () => {
    const path = conversation(4);
    const oneTurn = count(path[0]?.input ?? []) + count(path[0]?.output ?? []);
    const tokens = { tokens: oneTurn * 2 + 10, taken: 10, count };
    const window = cutWindow(path, limits({ places: 100, tokens }));
    assert.deepEqual(idsOf(window.turns), ['t2', 't3']);
    assert.deepEqual(window.leftOut, { places: 4, reason: 'max_context_tokens' });
  });

  it('is empty when instructions and input take everything', () => {
    const tokens = { tokens: 10, taken: 11, count };
    assert.deepEqual(cutWindow(conversation(4), limits({ places: 100, tokens })).turns, []);
  });
});

describe('calls and results in the window', () => {
  it('sees an exchange whole or not at all', () => {
    const path = place([
      turn('a'),
      turn('call', { calls: ['c1'] }),
      turn('result', { answers: ['c1'] }),
      turn('z'),
    ]);
    // Five places are left: the cut would fall between the call and its result.
    const window = cutWindow(path, limits({ places: 6 }));
    assert.deepEqual(idsOf(window.turns), ['z']);
  });

  it('sees the end of an exchange that is longer than the window, without results whose calls are gone', () => {
    const chain = Array.from({ length: 20 }, (_, i) =>
      turn(`t${i}`, { answers: i === 0 ? [] : [`c${i}`], calls: [`c${i + 1}`] }),
    );
    const window = cutWindow(place(chain), limits({ places: 8 }));
    const items = windowItems(window, []);
    assert.ok(window.turns.length > 0);
    assertPaired(items);
  });

  it('keeps the turns whose calls the input answers, whatever the limit', () => {
    const path = place([turn('a'), turn('call', { calls: ['c1'] })]);
    const window = cutWindow(path, limits({ places: 1, needed: 1 }));
    assert.deepEqual(idsOf(window.turns), ['call']);
  });
});

describe('every window', () => {
  const anyTurn = fc.record({ calls: fc.nat(2), answered: fc.boolean(), words: fc.nat(40) });
  const anyPath = fc.array(anyTurn, { maxLength: 60 }).map(pathOf);
  const anyLimits = fc.record({
    places: fc.integer({ min: 1, max: 80 }),
    tokens: fc.option(fc.integer({ min: 0, max: 2000 })),
  });

  it('is the end of the path, within its limits, with every call paired', () => {
    fc.assert(
      fc.property(anyPath, anyLimits, (path, { places, tokens }) => {
        const limit = tokens === null ? null : { tokens, taken: 0, count };
        const window = cutWindow(path, limits({ places, tokens: limit }));
        const newest = idsOf(path).slice(0, window.turns.length).reverse();
        assert.deepEqual(idsOf(window.turns), newest);
        assert.ok(places >= 1 + placesOf(window.turns), 'more places than the limit');
        if (tokens !== null) assert.ok(tokensOf(window.turns) <= tokens, 'more tokens than the limit');
        assert.equal(window.leftOut.places, placesOf(path) - placesOf(window.turns));
        assertPaired(windowItems(window, []));
      }),
    );
  });

  it('never goes back to what it had left out, as the conversation grows', () => {
    fc.assert(
      fc.property(
        fc.array(anyTurn, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 40 }),
        (all, places) => {
          let start = 0;
          for (let length = 1; length <= all.length; length += 1) {
            const { leftOut } = cutWindow(pathOf(all.slice(0, length)), limits({ places }));
            assert.ok(leftOut.places >= start || leftOut.reason === null, `${leftOut.places} after ${start}`);
            start = leftOut.places;
          }
        },
      ),
    );
  });
});

function limits(some: Partial<WindowLimits>): WindowLimits {
  return { places: 50, taken: 1, tokens: null, needed: 0, ...some };
}

/** A path of plain turns, newest first. */
function conversation(turns: number): PathTurn[] {
  return place(Array.from({ length: turns }, (_, index) => turn(`t${index}`)));
}

/** A path of turns that call tools now and then, and answer the calls of the turn before, or do not. */
function pathOf(shapes: readonly { calls: number; answered: boolean; words: number }[]): PathTurn[] {
  let open: string[] = [];
  return place(
    shapes.map(({ calls, answered, words }, index) => {
      const answers = answered ? open : [];
      open = Array.from({ length: calls }, (_, call) => `c${index}.${call}`);
      return turn(`t${index}`, { calls: open, answers, text: 'w'.repeat(words) });
    }),
  );
}

function turn(
  id: string,
  { calls = [], answers = [], text = id }: { calls?: string[]; answers?: string[]; text?: string } = {},
): PathTurn {
  const input: Item[] = answers.map((callId) => ({
    type: 'function_call_output',
    id: `${id}-${callId}`,
    call_id: callId,
    output: text,
    status: 'completed',
  }));
  const output: Item[] = calls.map((callId) => ({
    type: 'function_call',
    id: `${id}-${callId}`,
    call_id: callId,
    name: 'look',
    arguments: '{}',
    status: 'completed',
  }));
  return {
    id,
    placesBefore: 0,
    input: input.length > 0 ? input : [message(`${id}-in`, 'user', text)],
    output: output.length > 0 ? output : [message(`${id}-out`, 'assistant', text)],
    createdAt: 0,
    completedAt: 0,
  };
}

function message(id: string, role: 'user' | 'assistant', text: string): Item {
  return { type: 'message', id, role, status: 'completed', content: [{ type: 'input_text', text }] };
}

/** Gives turns, oldest first, their places and turns them round. */
function place(turns: readonly PathTurn[]): PathTurn[] {
  let places = 0;
  const path = turns.map((one) => {
    const placed = { ...one, placesBefore: places };
    places += placesOf([one]);
    return placed;
  });
  return path.reverse();
}

function placesOf(turns: readonly PathTurn[]): number {
  return turns.reduce((places, { input, output }) => places + countPlaces([...input, ...output]), 0);
}

function tokensOf(turns: readonly PathTurn[]): number {
  return turns.reduce((tokens, { input, output }) => tokens + count(input) + count(output), 0);
}

function idsOf(turns: readonly PathTurn[]): string[] {
  return turns.map(({ id }) => id);
}

function textOf(item: Item): unknown {
  return item.type === 'function_call_output'
    ? item.output
    : item.type === 'message'
      ? item.content
      : item.type;
}

/** Every call has one result after it, and every result one call before it. */
function assertPaired(items: readonly Item[]): void {
  const open = new Set<string>();
  for (const item of items) {
    if (item.type === 'function_call') open.add(item.call_id);
    if (item.type === 'function_call_output') {
      assert.ok(open.delete(item.call_id), `a result without a call: ${item.call_id}`);
    }
    if (item.type === 'message') assert.equal(open.size, 0, 'a message stands before the result of a call');
  }
  assert.equal(open.size, 0, `calls without results: ${[...open].join(', ')}`);
}
