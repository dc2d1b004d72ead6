import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseExpiry } from './expiry.ts';

const NOW = Date.parse('2026-11-25T12:00:00Z');

test('a day holds to its end, a time to the millisecond, and a length from now on', () => {
  const cases: [string, string][] = [
    ['2026-12-31', '2027-01-01T00:00:00.000Z'],
    ['2028-02-29', '2028-03-01T00:00:00.000Z'],
    ['2026-12-31T18:00Z', '2026-12-31T18:00:00.000Z'],
    ['2026-12-31T18:00:30.250Z', '2026-12-31T18:00:30.250Z'],
    ['2026-12-31T18:00:00+02:00', '2026-12-31T16:00:00.000Z'],
    ['90d', '2027-02-23T12:00:00.000Z'],
    ['12h', '2026-11-26T00:00:00.000Z'],
  ];
  for (const [text, expected] of cases) {
    assert.equal(new Date(parseExpiry(text, NOW) ?? Number.NaN).toISOString(), expected, text);
  }
});

test('what is none of these is none', () => {
  const others = [
    '',
    'soon',
    '90',
    'd',
    '-1d',
    '1.5d',
    '90 d',
    '123456d',
    '2026-13-01',
    '2026-02-30',
    '2026-2-3',
  ];
  for (const text of [...others, '2026-12-31T18:00:00', '2026-12-31T25:00Z', '31.12.2026', 'constructor']) {
    assert.equal(parseExpiry(text, NOW), null, text);
  }
});

test('any text is read as a time or as none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9dhTZ:+.-]{0,24}$/)), (text) => {
      const at = parseExpiry(text, NOW);
      assert.ok(at === null || Number.isFinite(at), text);
    }),
  );
});
