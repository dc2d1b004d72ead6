import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { readToolsRequest } from './tools-request.ts';

const good: readonly [string[], ReturnType<typeof readToolsRequest>][] = [
  [[], { command: 'list', json: false }],
  [['list', '--json'], { command: 'list', json: true }],
  [['-h'], { command: 'help' }],
  [['call', '--help'], { command: 'help' }],
  [['call', 'files.read'], { command: 'call', server: 'files', tool: 'read', args: {}, json: false }],
  [
    ['call', 'files.read.all', '{"path": "a"}', '--json'],
    { command: 'call', server: 'files', tool: 'read.all', args: { path: 'a' }, json: true },
  ],
];
for (const [words, request] of good) {
  test(`parley tools ${words.join(' ')}`, () => assert.deepEqual(readToolsRequest(words), request));
}

const bad = [
  ['remove'],
  ['list', 'files'],
  ['call'],
  ['call', 'files'],
  ['call', '.read'],
  ['call', 'files.'],
  ['call', 'files.read', '[]'],
  ['call', 'files.read', 'null'],
  ['call', 'files.read', 'path=a'],
  ['call', 'files.read', '{}', '{}'],
  ['--colour'],
];
for (const words of bad) {
  test(`parley tools ${words.join(' ')} is no use of it`, () => {
    assert.throws(
      () => readToolsRequest(words),
      (error) => error instanceof CommandError && error.exitCode === EXIT_USAGE,
    );
  });
}
