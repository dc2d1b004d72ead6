import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestIdOf } from './request-id.ts';

const idFor = (given: string | undefined) =>
  requestIdOf({ headers: given === undefined ? {} : { 'x-request-id': given } });

describe('the id of a request', () => {
  it("is the caller's where that is sane", () => {
    for (const given of ['a', '01900000-0000-7000-8000-000000000000', 'Root.1_2-3', '-', 'x'.repeat(128)]) {
      assert.equal(idFor(given), given);
    }
  });

  it('is a new one where it is not, or where there is none', () => {
    const odd = [
      '',
      'x'.repeat(129),
      'a b',
      'a\n',
      'a\tb',
      'ä',
      '"',
      '<b>',
      'a/b',
      'a:b',
      'a, b',
      '$(x)',
      '\u0000',
    ];
    const made = [...odd, undefined].map(idFor);
    for (const id of made) assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(new Set(made).size, made.length);
  });
});
