import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyTable, type ListedKey } from './key-table.ts';

const NOW = Date.parse('2026-11-25T12:00:00Z');

const key = (change: Partial<ListedKey>): ListedKey => ({
  object: 'key',
  id: 'k1',
  client_id: 'c1',
  client_name: 'shop',
  prefix: 'abcdefgh',
  note: null,
  created_at: '2026-11-01T00:00:00.000Z',
  expires_at: null,
  revoked_at: null,
  last_used_at: null,
  ...change,
});

test('a key is a line under a head, each column as wide as it must be', () => {
  const used = {
    last_used_at: '2026-11-24T08:30:59.999Z',
    note: 'Till',
    expires_at: '2027-01-01T00:00:00.000Z',
  };
  assert.equal(
    keyTable([key({}), key({ id: 'a-longer-id', ...used })], NOW),
    'KEY          BEGINS WITH  CLIENT  CLIENT ID  STATE  EXPIRES            LAST USED          NOTE\n' +
      'k1           pk_abcdefgh  shop    c1         good   -                  -\n' +
      'a-longer-id  pk_abcdefgh  shop    c1         good   2027-01-01T00:00Z  2026-11-24T08:30Z  Till\n',
  );
});

test('the state says what the key is worth now', () => {
  const [past, now, later] = [
    '2026-11-25T11:00:00.000Z',
    '2026-11-25T12:00:00.000Z',
    '2026-11-25T13:00:00.000Z',
  ];
  const cases: [Partial<ListedKey>, string][] = [
    [{}, 'good'],
    [{ expires_at: later }, 'good'],
    [{ revoked_at: later }, 'good until 2026-11-25T13:00Z'],
    [{ expires_at: now }, 'expired'],
    [{ expires_at: past, revoked_at: later }, 'expired'],
    [{ expires_at: past, revoked_at: now }, 'revoked'],
  ];
  for (const [change, expected] of cases) {
    assert.match(keyTable([key(change)], NOW), new RegExp(` c1 +${expected}  `));
  }
});

test('a name or a note gives a terminal no orders', () => {
  const table = keyTable([key({ client_name: 'a\u001b[2Jb\r\n', note: '\u202edne\u0007' })], NOW);
  assert.match(table, /a\?\[2Jb\?\?/);
  assert.match(table, /\?dne\?\n$/);
  assert.equal(table.split('\n').length, 3);
});
