/**
 * Runs the tests as `npm run test:only` does: all of them, or the files that are named. What it adds to Node's runner is
 * speed: starting servers is most of the work, and waiting for them most of the time.
 */

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';

const ALL = ['src/**/*.test.ts', 'test/**/*.test.ts'];
/** Where each server that is started, and each file of tests, finds its code without types and compiled. */
const COMPILED = resolve(import.meta.dirname, '../.cache/compiled');
/** Files at a time: one waits about half of its time, for its servers or for a clock. */
const FILES_AT_ONCE = availableParallelism() + 1;
/** For tests that name no time of their own: far more than any takes, so that one which hangs is told of by its name. */
const LONGEST_MILLISECONDS = 300_000;

const given = process.argv.slice(2);
const hasFiles = given.some((word) => !word.startsWith('-'));
const options = [`--test-concurrency=${FILES_AT_ONCE}`, `--test-timeout=${LONGEST_MILLISECONDS}`];

const runner = spawn(process.execPath, ['--test', ...options, ...given, ...(hasFiles ? [] : ALL)], {
  stdio: 'inherit',
  env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
});
runner.on('close', (code) => {
  process.exitCode = code ?? 1;
});
// The runner hears of Ctrl-C from the terminal, and has the last word.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => runner.kill('SIGTERM'));
