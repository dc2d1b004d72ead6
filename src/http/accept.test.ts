import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { preferredType } from './accept.ts';

const OFFERED = ['application/json', 'text/plain', 'application/openmetrics-text'];

const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;' +
  'q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';

const cases: [string, string | undefined, string | undefined][] = [
  ['no header', undefined, 'application/json'],
  ['anything', '*/*', 'application/json'],
  ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'application/json'],
  ['a library that reads JSON first', 'application/json, text/plain, */*', 'application/json'],
  ['Prometheus', PROMETHEUS, 'application/openmetrics-text'],
  ['an older Prometheus', 'text/plain;version=0.0.4;q=1,*/*;q=0.1', 'text/plain'],
  ['text before anything', 'text/plain, */*', 'text/plain'],
  ['any text', 'text/*', 'text/plain'],
  ['anything but JSON', '*/*, application/json;q=0', 'text/plain'],
  ['other letters', 'TEXT/Plain; Q=0.5', 'text/plain'],
  ['what is not offered', 'image/png', undefined],
  ['nothing', '', undefined],
  ['a quality that is none', 'text/plain;q=high', undefined],
];

describe('the type that a client prefers', () => {
  for (const [name, accept, expected] of cases) {
    it(`of ${name} is ${expected ?? 'none'}`, () => assert.equal(preferredType(accept, OFFERED), expected));
  }

  it('is one of those that are offered, whatever the header says', () => {
    const part = fc.constantFrom(
      ...OFFERED,
      '*/*',
      'text/*',
      'text/html',
      ';',
      ',',
      'q=',
      '0.5',
      '-1',
      ' ',
      '=',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string())), (parts) => {
        const type = preferredType(parts.join(''), OFFERED);
        assert.ok(type === undefined || OFFERED.includes(type));
      }),
    );
  });
});
