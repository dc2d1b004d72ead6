import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { finish } from '../../test/scripted-provider.ts';
import type { Continuation, ProviderEvent } from '../providers/provider.ts';
import { createRescue } from './rescue.ts';

type Told = ProviderEvent | { type: 'restart' };

/** What the client has at the end of a rescue that makes these events. */
interface Rescued {
  /** Of what was said after the last restart, with the text of before if there was none. */
  text: string;
  told: Told[];
  restarts: number;
  continueFrom: string | null;
}

/** @param make what the target makes of the beginning it is given */
function rescue(
  text: string | null,
  continuation: Continuation,
  make: (continueFrom: string | null) => readonly ProviderEvent[],
): Rescued {
  const told: Told[] = [];
  let client = text ?? '';
  const { continueFrom, add } = createRescue(text, continuation, {
    tell(event) {
      told.push(event);
      if (event.type === 'text-delta') client += event.text;
    },
    restart() {
      told.push({ type: 'restart' });
      client = '';
    },
  });
  for (const event of make(continueFrom)) add(event);
  return { text: client, told, restarts: told.filter(({ type }) => type === 'restart').length, continueFrom };
}

const end = finish('m');
const says = (text: string): ProviderEvent => ({ type: 'text-delta', text });
const thinks = (text: string): ProviderEvent => ({ type: 'reasoning-delta', text });
const refuses = (text: string): ProviderEvent => ({ type: 'refusal-delta', text });
const calls: ProviderEvent = { type: 'tool-call', callId: 'c', name: 'look', arguments: '{}' };
const RESTART: Told = { type: 'restart' };

/** Few characters, so that texts repeat themselves; all characters, whole or in halves. */
const anyText = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n'), maxLength: 100 }),
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.lorem({ maxCount: 5, mode: 'sentences' }),
);

/**
 * A text of which no 12 characters stand in it twice: each of its words does once, and 11 characters cannot but
 * hold a word.
 */
const unrepeating = fc
  .uniqueArray(fc.tuple(fc.nat(9999), fc.constantFrom('', ' ', '\n\n', ' \n')), {
    minLength: 3,
    maxLength: 60,
    selector: ([word]) => word,
  })
  .map((words) => words.map(([word, space]) => `#${String(word).padStart(4, '0')}${space}`).join(''));

/** Lengths of pieces, some of them empty; they are used again from the first when they are over. */
const splits = fc
  .array(fc.nat(40), { minLength: 1 })
  .filter((lengths) => lengths.some((length) => length > 0));

function inPieces(text: string, lengths: readonly number[]): ProviderEvent[] {
  const events: ProviderEvent[] = [];
  for (let at = 0, index = 0; at < text.length; index += 1) {
    const length = lengths[index % lengths.length] ?? 1;
    events.push(says(text.slice(at, at + length)));
    at += length;
  }
  return [...events, end];
}

/** A whole answer and the part of it that the client has, which is never empty. */
function cutsOf(texts: fc.Arbitrary<string>): fc.Arbitrary<[whole: string, text: string]> {
  return texts
    .filter((whole) => whole !== '')
    .chain((whole) =>
      fc.integer({ min: 1, max: whole.length }).map((at): [string, string] => [whole, whole.slice(0, at)]),
    );
}

/** What continues so cannot be told from an answer that begins anew. */
function looksAnew(text: string, rest: string): boolean {
  return text.length >= 12 && rest.startsWith(text.slice(0, 32));
}

const many = { numRuns: 1000 };

describe('a rescue, for any text, any cut and any pieces,', () => {
  it('by a target that goes on gives the whole text', () => {
    fc.assert(
      fc.property(cutsOf(anyText), splits, ([whole, text], lengths) => {
        fc.pre(!looksAnew(text, whole.slice(text.trimEnd().length)));
        const { restarts, ...rescued } = rescue(text, 'prefill', (given) =>
          inPieces(whole.slice(given?.length ?? 0), lengths),
        );
        assert.equal(rescued.text, whole);
        assert.equal(restarts, 0);
        assert.equal(rescued.continueFrom, text.trimEnd() || null);
        assert.deepEqual(rescued.told.at(-1), end);
      }),
      many,
    );
  });

  it('by a target that answers the same anew gives the whole text', () => {
    fc.assert(
      fc.property(cutsOf(anyText), splits, ([whole, text], lengths) => {
        const rescued = rescue(text, 'none', () => inPieces(whole, lengths));
        assert.equal(rescued.text, whole);
        assert.equal(rescued.restarts, 0);
        assert.equal(rescued.continueFrom, null);
        assert.deepEqual(rescued.told.at(-1), end);
      }),
      many,
    );
  });

  it('by a target that answers otherwise takes back the text once, and gives the other', () => {
    fc.assert(
      fc.property(cutsOf(anyText), anyText, fc.nat(100), splits, ([whole, text], tail, common, lengths) => {
        const other = whole.slice(0, common) + tail;
        fc.pre(!other.startsWith(text));
        const rescued = rescue(text, 'none', () => inPieces(other, lengths));
        assert.equal(rescued.text, other);
        assert.equal(rescued.restarts, 1);
        assert.deepEqual(rescued.told[0], RESTART);
        assert.deepEqual(rescued.told.at(-1), end);
      }),
      many,
    );
  });

  it('by a target that repeats the end before it goes on gives the whole text', () => {
    fc.assert(
      fc.property(cutsOf(unrepeating), fc.nat(400), splits, ([whole, text], repeated, lengths) => {
        const rescued = rescue(text, 'instruct', (given) => {
          const known = given?.length ?? 0;
          const from = Math.max(0, known - repeated);
          return inPieces(whole.slice(known - from < 12 ? known : from), lengths);
        });
        assert.equal(rescued.text, whole);
        assert.equal(rescued.restarts, 0);
        assert.deepEqual(rescued.told.at(-1), end);
      }),
      many,
    );
  });

  it('by a target that was to go on and answers the same anew gives the whole text', () => {
    const long = cutsOf(anyText).filter(([, text]) => text.length >= 12);
    fc.assert(
      fc.property(long, fc.constantFrom('prefill', 'instruct'), splits, ([whole, text], how, lengths) => {
        const rescued = rescue(text, how, () => inPieces(whole, lengths));
        assert.equal(rescued.text, whole);
        assert.equal(rescued.restarts, 0);
      }),
      many,
    );
  });

  it('by a target that was to go on and answers otherwise after a while takes back the text', () => {
    const long = cutsOf(unrepeating).filter(([, text]) => text.length > 32 && text.trimEnd() === text);
    fc.assert(
      fc.property(long, fc.constantFrom('prefill', 'instruct'), splits, ([whole, text], how, lengths) => {
        const other = `${whole.slice(0, text.length - 1)}?`;
        const rescued = rescue(text, how, () => inPieces(other, lengths));
        assert.equal(rescued.text, other);
        assert.equal(rescued.restarts, 1);
      }),
      many,
    );
  });
});

describe('a rescue by an answer made anew', () => {
  const TEXT = 'Once upon a time';

  it('passes on each piece once the text was repeated', () => {
    const { told } = rescue(TEXT, 'none', () => [says('Once upon'), says(' a time, '), says('there'), end]);
    assert.deepEqual(told, [says(', '), says('there'), end]);
  });

  it('takes back the text when the answer ends before it', () => {
    const { told } = rescue(TEXT, 'none', () => [says('Once upon'), end]);
    assert.deepEqual(told, [RESTART, says('Once upon'), end]);
  });

  it('drops reasoning as long as the text is repeated, and tells it when it is not', () => {
    const begin = [thinks('hm'), says('Once '), thinks('so')];
    const same = rescue(TEXT, 'none', () => [...begin, says('upon a time'), says('!'), end]);
    assert.deepEqual(same.told, [says('!'), end]);
    const other = rescue(TEXT, 'none', () => [...begin, says('more'), says('!'), end]);
    assert.deepEqual(other.told, [RESTART, ...begin, says('more'), says('!'), end]);
  });

  it('passes on a call or a refusal after the text', () => {
    for (const event of [calls, refuses('No.')]) {
      const { told } = rescue(TEXT, 'none', () => [says(TEXT), event, end]);
      assert.deepEqual(told, [event, end]);
    }
  });

  it('takes back the text for a call or a refusal in the middle of it', () => {
    for (const event of [calls, refuses('No.')]) {
      const { told } = rescue(TEXT, 'none', () => [says('Once'), event, end]);
      assert.deepEqual(told, [RESTART, says('Once'), event, end]);
    }
  });
});

describe('a rescue by a continuation', () => {
  const TEXT = 'Once upon a time';

  for (const how of ['prefill', 'instruct'] as const) {
    it(`(${how}) drops reasoning, which the client has read already`, () => {
      const { told } = rescue(TEXT, how, () => [thinks('hm'), says(', there'), thinks('so'), says('!'), end]);
      assert.deepEqual(told, [says(', there'), says('!'), end]);
    });

    it(`(${how}) passes on what it holds before anything that is no text`, () => {
      for (const event of [calls, refuses('No.'), end]) {
        const { told } = rescue(TEXT, how, () => [says('Once'), event]);
        assert.deepEqual(told, [says('Once'), event]);
      }
    });

    it(`(${how}) may have nothing to add`, () => {
      assert.deepEqual(rescue(TEXT, how, () => [end]).told, [end]);
    });

    it(`(${how}) is asked for anew where there is nothing but white space to go on from`, () => {
      const rescued = rescue(' \n', how, () => [says(' \nOnce'), end]);
      assert.equal(rescued.continueFrom, null);
      assert.deepEqual(rescued.told, [says('Once'), end]);
    });
  }
});

describe('a rescue of what cannot be gone on from', () => {
  for (const how of ['none', 'prefill', 'instruct'] as const) {
    it(`(${how}) takes it back as soon as there is something instead, and only once`, () => {
      const events = [thinks('hm'), says('Once'), calls, end];
      const rescued = rescue(null, how, () => events);
      assert.equal(rescued.continueFrom, null);
      assert.deepEqual(rescued.told, [RESTART, ...events]);
      assert.deepEqual(rescue(null, how, () => []).told, []);
    });
  }
});
