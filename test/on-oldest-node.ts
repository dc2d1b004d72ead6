/**
 * Runs the tests on the oldest Node that is supported, whatever runs this script: the platform's binary comes
 * from the package registry into npm's cache, and nothing of the project changes.
 */

import { spawn } from 'node:child_process';

/** As in `engines` of package.json. */
const OLDEST = '24.15.0';

const platform = process.platform === 'win32' ? 'win' : process.platform;
const binary = `node-${platform}-${process.arch}@${OLDEST}`;
process.stdout.write(`fetching ${binary} into npm's cache and running the tests on it\n`);

spawn('npm', ['exec', '--yes', `--package=${binary}`, '-c', 'node --version && node test/run-suite.ts'], {
  stdio: 'inherit',
}).on('close', (code) => {
  process.exitCode = code ?? 1;
});
