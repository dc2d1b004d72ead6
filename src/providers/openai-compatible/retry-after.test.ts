import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMilliseconds } from './retry-after.ts';

const now = Date.UTC(2026, 10, 5, 12, 0, 0);

const readings: [Record<string, string | string[]>, number | undefined][] = [
  [{}, undefined],
  [{ 'retry-after': '3' }, 3000],
  [{ 'retry-after': ' 1.5 ' }, 1500],
  [{ 'retry-after': '0' }, 0],
  [{ 'retry-after': ['4', '9'] }, 4000],
  [{ 'retry-after': 'Thu, 05 Nov 2026 12:00:30 GMT' }, 30_000],
  [{ 'retry-after': 'Thu, 05 Nov 2026 11:00:00 GMT' }, 0],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '' }, undefined],
  [{ 'retry-after-ms': '250', 'retry-after': '3' }, 250],
  [{ 'retry-after-ms': 'x', 'retry-after': '3' }, 3000],
];
for (const [headers, expected] of readings) {
  test(`${JSON.stringify(headers)} is ${expected}`, () => {
    assert.equal(retryAfterMilliseconds(headers, now), expected);
  });
}
