/** The program behind docs/scaling.md goes on working. What it measures is looked at by nobody here. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

test('what a turn costs is measured in a store of ten sessions', async () => {
  const program = join(import.meta.dirname, '../bench/scaling.ts');
  const little = { sessions: 10, turns: 2, requests: 10, rounds: 1, starts: 1, idle: 0 };
  const options = Object.entries(little).map(([name, value]) => `--${name}=${value}`);
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--sources', ...options]);
  assert.match(stdout, /^sqlite: 2 turns in a session/);
  assert.match(stdout, /^\| 10 \| \d+\.\d+ \(.+\) \| 1\.00 /m, 'a row of turns');
  assert.match(stdout, /^\| 10 \| \d+ \| \d+ \| \d+\.\d \| \d+ \| \d+ \| \d+ \|/m, 'a row of the rest');
});
