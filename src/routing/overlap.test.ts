import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createOverlap } from './overlap.ts';

const TEXT = 'The quick brown fox jumps over the lazy dog';

interface Followed {
  /** What was given out for each piece, then what the end gave. */
  given: string[];
  isAnew: boolean;
}

function follow(text: string, repeatsEnd: boolean, ...pieces: string[]): Followed {
  const overlap = createOverlap(text, { repeatsEnd });
  const given: string[] = [];
  for (const piece of pieces) {
    const { text: fresh, isAnew } = overlap.add(piece);
    given.push(fresh);
    if (isAnew) return { given, isAnew };
  }
  return { given: [...given, overlap.end()], isAnew: false };
}

/** All that a continuation adds to the text. */
function added(text: string, repeatsEnd: boolean, ...pieces: string[]): string {
  const { given, isAnew } = follow(text, repeatsEnd, ...pieces);
  assert.equal(isAnew, false);
  return given.join('');
}

describe('a continuation', () => {
  it('is given out at once when it can be nothing else, and piece by piece from there', () => {
    for (const repeatsEnd of [false, true]) {
      const { given } = follow(TEXT, repeatsEnd, '.', ' The', ' end', '');
      assert.deepEqual(given, ['.', ' The', ' end', '', '']);
    }
  });

  it('is held only while it may still be the beginning of the answer', () => {
    assert.deepEqual(follow(TEXT, false, 'The ', 'quick ', 'end').given, ['', '', 'The quick end', '']);
    assert.deepEqual(follow(TEXT, false, 'The ', 'quick').given, ['', '', 'The quick']);
  });

  it('is not looked for the beginning of a text so short that it may well be said twice', () => {
    assert.deepEqual(follow('Ho ho ho, H', false, 'Ho ho ho, H', 'o').given, ['Ho ho ho, H', 'o', '']);
  });

  it('may begin with an empty piece', () => {
    for (const text of ['Hi', 'Hi ', TEXT]) {
      for (const repeatsEnd of [false, true])
        assert.equal(added(text, repeatsEnd, '', ' you', ''), ' you'.slice(text === 'Hi ' ? 1 : 0));
    }
  });
});

describe('an answer begun anew', () => {
  it('is noticed after 32 characters, and given back whole', () => {
    for (const repeatsEnd of [false, true]) {
      const beginning = TEXT.slice(0, 32);
      const { given, isAnew } = follow(TEXT, repeatsEnd, beginning.slice(0, 31), `${beginning.slice(31)}!`);
      assert.equal(isAnew, true);
      assert.deepEqual(given, ['', `${beginning}!`]);
    }
  });

  it('is noticed after the whole of a shorter text', () => {
    assert.deepEqual(follow('Hello, world', false, 'Hello, ', 'world', '!'), {
      given: ['', 'Hello, world'],
      isAnew: true,
    });
  });
});

describe('a repetition of the end', () => {
  it('is left out from 12 characters on', () => {
    assert.equal(added(TEXT, true, 'the lazy dog', ' sleeps'), ' sleeps');
    assert.equal(added(TEXT, true, 'over the la', 'zy dog sleeps'), ' sleeps');
  });

  it('is kept below that, and by a target that does not repeat', () => {
    assert.equal(added(TEXT, true, 'he lazy dog', ' sleeps'), 'he lazy dog sleeps');
    assert.equal(added(TEXT, false, 'the lazy dog', ' sleeps'), 'the lazy dog sleeps');
  });

  it('is none in the middle of the text', () => {
    assert.equal(added(TEXT, true, 'the lazy do', 'lphin'), 'the lazy dolphin');
    assert.equal(added(TEXT, true, 'quick brown fox', ' jumps too'), 'quick brown fox jumps too');
  });

  it('is left out where it is all there is', () => {
    assert.deepEqual(follow(TEXT, true, 'over the lazy', ' dog').given, ['', '', '']);
  });

  it('is the longest there is', () => {
    const text = `It goes: ${'na na '.repeat(10)}`.trimEnd();
    assert.equal(added(text, true, `${'na '.repeat(20).trimEnd()} Batman`), ' Batman');
  });

  it('is looked for in the last 2000 characters', () => {
    const numbers = Array.from({ length: 1000 }, (_, number) => `#${number}`.padEnd(6)).join('');
    const text = `${numbers}!`;
    assert.equal(added(text, true, text.slice(-2000), ' end'), ' end');
    assert.equal(added(text, true, text.slice(-2001), ' end'), `${text.slice(-2001)} end`);
  });
});

describe('white space at the end of the text', () => {
  it('is not said twice, however it comes', () => {
    assert.equal(added('Dear Sir,\n\n', false, '\n\nI am'), 'I am');
    assert.equal(added('Dear Sir,\n\n', false, '\n', '\n', 'I am'), 'I am');
    assert.equal(added('Dear Sir,\n\n', false, 'I am'), 'I am');
    assert.equal(added('Dear Sir,\n\n', false, '\n\n\nI am'), '\nI am');
  });

  it('is not said twice after a repetition either', () => {
    const text = `${TEXT}  `;
    for (const pieces of [
      ['the lazy dog  sleeps'],
      ['the lazy dog', ' ', ' ', 'sleeps'],
      ['the lazy dog ', ' sleeps'],
    ]) {
      assert.equal(added(text, true, ...pieces), 'sleeps', JSON.stringify(pieces));
    }
  });

  it('may be all that comes', () => {
    assert.equal(added('Dear Sir,\n\n', false, '\n'), '');
    assert.equal(added('Dear Sir,\n\n', false), '');
  });
});

describe('an overlap', () => {
  const few = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n'), maxLength: 60 });

  it('gives out what it took without a beginning of it, whatever it takes', () => {
    fc.assert(
      fc.property(few, fc.array(few), fc.boolean(), (text, pieces, repeatsEnd) => {
        const { given, isAnew } = follow(text, repeatsEnd, ...pieces);
        const taken = pieces.slice(0, isAnew ? given.length : undefined).join('');
        if (isAnew) assert.equal(given.join(''), taken);
        else assert.ok(taken.endsWith(given.join('')), JSON.stringify(given));
      }),
      { numRuns: 1000 },
    );
  });

  it('does not depend on how what it takes is split', () => {
    fc.assert(
      fc.property(few, few, fc.boolean(), (text, continuation, repeatsEnd) => {
        const whole = follow(text, repeatsEnd, continuation);
        const single = follow(text, repeatsEnd, ...continuation.split(''));
        assert.equal(single.isAnew, whole.isAnew);
        if (!whole.isAnew) assert.equal(single.given.join(''), whole.given.join(''));
      }),
      { numRuns: 1000 },
    );
  });
});
