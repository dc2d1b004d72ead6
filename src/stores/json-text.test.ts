/** JSON text in parts: each is what it was, and together they say the same. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { elementsOf, membersOf } from './json-text.ts';

test('parts are the text as it was written, blanks around them aside', () => {
  const text = '[ 1.0 , "a\\"],\\\\" ,{"b":[1,2],"c":"}"}, [ ],12345678901234567890]';
  assert.deepEqual(elementsOf(text), [
    '1.0',
    '"a\\"],\\\\"',
    '{"b":[1,2],"c":"}"}',
    '[ ]',
    '12345678901234567890',
  ]);
  assert.deepEqual([elementsOf('[]'), elementsOf(' [ ] ')], [[], []]);
  const members = membersOf('{"a:" : 1e400, "\\u0062" :{"c":[]},"d":"\\\\"}');
  assert.deepEqual(
    [...members],
    [
      ['a:', '1e400'],
      ['b', '{"c":[]}'],
      ['d', '"\\\\"'],
    ],
  );
  assert.equal(membersOf('{}').size, 0);
});

test('whatever the values are, their texts are those of the parts', () => {
  const wild = fc.array(fc.jsonValue({ noUnicodeString: false }));
  const spaces = fc.constantFrom(undefined, 1, '\t');
  fc.assert(
    fc.property(wild, spaces, (values, space) => {
      const parts = elementsOf(JSON.stringify(values, null, space));
      assert.deepEqual(
        parts.map((part) => JSON.parse(part)),
        JSON.parse(JSON.stringify(values)),
      );
      const object = JSON.stringify(Object.fromEntries(values.map((value, index) => [`"${index}\\`, value])));
      const members = [...membersOf(object)].map(([name, part]) => [name, JSON.parse(part)]);
      assert.deepEqual(Object.fromEntries(members), JSON.parse(object));
    }),
  );
});
