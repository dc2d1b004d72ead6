/** Database files for tests, each in a directory of its own that goes with the test. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** The path of a database that does not exist yet, in a directory that does not exist yet. */
export function temporaryDatabase(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'parley-store-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'data', 'parley.db');
}
