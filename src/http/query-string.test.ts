import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseQueryString } from './query-string.ts';

const parse = (text: string) => JSON.parse(JSON.stringify(parseQueryString(text)));

describe('a query string', () => {
  it('has fields in brackets as an object', () => {
    assert.deepEqual(parse('limit=5&metadata[a]=1&metadata%5Bb%20c%5D=2'), {
      limit: '5',
      metadata: { a: '1', 'b c': '2' },
    });
  });

  it('keeps a parameter that is given twice as a list, for the schema to refuse', () => {
    assert.deepEqual(parse('limit=1&limit=2'), { limit: ['1', '2'] });
  });

  it('has no object where there is a text of the same name, for the schema to refuse', () => {
    assert.deepEqual(parse('metadata=x&metadata[a]=1'), { metadata: 'x' });
    assert.deepEqual(parse('metadata[a]=1&metadata=x'), { metadata: 'x' });
    assert.deepEqual(parse('metadata=x&metadata=y&metadata[a]=1'), { metadata: ['x', 'y'] });
  });

  it('reaches no prototype', () => {
    parseQueryString('__proto__[polluted]=1&metadata[__proto__]=1&constructor[prototype]=1');
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  it('is read whatever it is', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseQueryString(text) === 'object'));
  });
});
