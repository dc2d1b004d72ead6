import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CommandError } from './command-error.ts';
import { readKeysRequest } from './keys-request.ts';

const NOW = Date.parse('2026-11-25T12:00:00Z');
const read = (...args: string[]) => readKeysRequest(args, NOW);

test('a new client has a name, limits and the settings of its key', () => {
  assert.deepEqual(read('create', 'shop'), {
    command: 'create',
    client: null,
    body: { name: 'shop' },
    json: false,
  });
  const all = ['--note', 'Till', '--expires', '1d', '--rps', '0.5', '--burst', '9', '--json'];
  const body = {
    name: 'my shop',
    limits: { rps: 0.5, burst: 9 },
    note: 'Till',
    expires_at: '2026-11-26T12:00:00.000Z',
  };
  assert.deepEqual(read('create', ...all, 'my shop'), { command: 'create', client: null, body, json: true });
});

test('another key is that of a client, and has settings of its own', () => {
  const expected = { command: 'create', client: 'c1', body: { note: 'Till' }, json: false };
  assert.deepEqual(read('create', '--client=c1', '--note', 'Till'), expected);
});

test('a key is listed, rotated and revoked', () => {
  assert.deepEqual(read('list', '--json'), { command: 'list', json: true });
  assert.deepEqual(read('revoke', 'k'), { command: 'revoke', keyId: 'k', json: false });
  assert.deepEqual(read('rotate', 'k'), { command: 'rotate', keyId: 'k', body: {}, json: false });
  const graced = { command: 'rotate', keyId: 'k', body: { grace_seconds: 60 }, json: false };
  assert.deepEqual(read('rotate', 'k', '--grace', '60'), graced);
});

test('help is given wherever it is asked for', () => {
  for (const args of [['--help'], ['-h'], ['create', '--help'], ['rotate', '-h']]) {
    assert.deepEqual(read(...args), { command: 'help' });
  }
});

test('what is no use of the command is said in one line', () => {
  const cases: [string[], RegExp][] = [
    [[], /^create, list, rotate or revoke\?$/],
    [['dance'], /"dance"/],
    [['constructor'], /"constructor"/],
    [['create'], /NAME/],
    [['create', 'my', 'shop'], /quotes/],
    [['create', 'shop', '--client', 'c1'], /not both/],
    [['create', '--client', 'c1', '--rps', '2'], /--rps and --burst/],
    [['create', 'shop', '--rps', 'fast'], /^--rps must be a number$/],
    [['create', 'shop', '--rps', '-1'], /--rps/],
    [['create', 'shop', '--expires', 'soon'], /^--expires must be a day/],
    [['create', 'shop', '--expires', '2026-11-24'], /^--expires must be in the future$/],
    [['create', 'shop', '--loud'], /--loud/],
    [['list', 'shop'], /options alone/],
    [['list', '--note', 'x'], /--note/],
    [['rotate'], /KEY_ID/],
    [['revoke', 'k', 'l'], /KEY_ID/],
    [['rotate', 'k', '--grace', 'long'], /^--grace must be a number$/],
  ];
  for (const [args, expected] of cases) {
    assert.throws(
      () => read(...args),
      (error) =>
        error instanceof CommandError &&
        error.exitCode === 64 &&
        expected.test(error.message) &&
        !error.message.includes('\n'),
      args.join(' '),
    );
  }
});

test('whatever is typed is a request or a misuse', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'create',
      'list',
      'rotate',
      'revoke',
      '--client',
      '--note',
      '--rps',
      '--json',
      '--',
      '-h',
    ),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (args) => {
      try {
        read(...args);
      } catch (error) {
        assert.ok(error instanceof CommandError, String(error));
      }
    }),
  );
});
