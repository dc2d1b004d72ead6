import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { hashKey, isKeyText, keyPrefix, newKeyText } from './key-text.ts';

describe('the text of a key', () => {
  it('has a mark, letters and digits, and is never made twice', () => {
    const texts = Array.from({ length: 1000 }, newKeyText);
    for (const text of texts) {
      assert.match(text, /^pk_[0-9A-Za-z]{49}$/);
      assert.equal(isKeyText(text), true);
    }
    assert.equal(new Set(texts).size, texts.length);
  });

  it('uses every digit in every place that 256 bits fill', () => {
    const texts = Array.from({ length: 2000 }, newKeyText);
    // The first place is that of the largest power of 62, of which 2^256 holds fewer than 62.
    for (let place = 4; place < 46; place += 1) {
      assert.equal(new Set(texts.map((text) => text[place])).size, 62, `place ${place}`);
    }
  });

  it('is told from one with a character changed, left out, added, or swapped with its neighbour', () => {
    const anyKey = fc.constant(null).map(newKeyText);
    const edit = fc.constantFrom('change', 'drop', 'add', 'swap');
    fc.assert(
      fc.property(
        anyKey,
        edit,
        fc.nat(51),
        fc.constantFrom('a', 'Z', '0', '9', '_', '-', ' ', 'é'),
        (text, kind, at, other) => {
          const rest = text.slice(at + 1);
          const changed = {
            change: text.slice(0, at) + other + rest,
            drop: text.slice(0, at) + rest,
            add: text.slice(0, at) + other + text.slice(at),
            swap: text.slice(0, at) + rest.slice(0, 1) + text.charAt(at) + rest.slice(1),
          }[kind];
          assert.equal(isKeyText(changed), changed === text);
        },
      ),
    );
  });

  it('is not what any other text looks like', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => assert.equal(isKeyText(text), false)));
    const digits = fc.constantFrom('0', '1', '9', 'A', 'M', 'Z', 'a', 'm', 'z');
    const alike = fc.array(digits, { minLength: 49, maxLength: 49 }).map((list) => `pk_${list.join('')}`);
    // One in 57 billion has the right checksum by chance.
    fc.assert(fc.property(alike, (text) => assert.equal(isKeyText(text), false)));
    assert.equal(isKeyText(`${newKeyText()}\n`), false);
  });

  it('shows its first eight characters, and is hashed with SHA-256', () => {
    const text = newKeyText();
    assert.equal(keyPrefix(text), text.slice(3, 11));
    // The digest that FIPS 180-4 gives for "abc".
    assert.equal(hashKey('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
