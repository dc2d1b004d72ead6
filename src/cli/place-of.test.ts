/** What is shown of a store's location: where it is, and nothing by which it could be entered. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeOf } from './place-of.ts';

test('a location is shown without users, passwords and options', () => {
  for (const [location, place] of [
    ['sqlite:data/parley.db', 'data/parley.db'],
    ['redis://host', 'redis://host'],
    ['rediss://me:secret@a:1,b:2/?cluster', 'rediss://a:1,b:2/'],
    ['redis://:s@a:1,b:2/3?sentinel=main', 'redis://a:1,b:2/3'],
    ['postgres://me:secret@host:5432/db?password=secret', 'postgres://host:5432/db'],
    ['postgresql://me:sec/ret?#@x@host/db#secret', 'postgresql://host/db'],
  ] as const) {
    assert.equal(placeOf(location), place);
  }
});
