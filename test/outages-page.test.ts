/** Holds `docs/outages.md` to the tests, in both directions: each of its rows names one, and each outage has a row. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const page = readFileSync('docs/outages.md', 'utf8');

for (const engine of ['SQLite', 'Redis', 'PostgreSQL', 'Limits', 'Exchange']) {
  const prefix = engine === 'PostgreSQL' ? 'postgres' : engine.toLowerCase();
  describe(`the outages of ${engine}`, () => {
    const named = rowsOf(engine).map((row) => /`([^`]+)` \|$/.exec(row)?.[1] ?? row);

    it('each have a test in their row', () => {
      assert.ok(named.length > 0);
      const tests = new Set([
        ...titlesIn(`src/stores/${prefix}{,/*}.test.ts`),
        ...titlesIn(`test/acceptance/${prefix}-outages.test.ts`),
      ]);
      assert.deepEqual(
        named.filter((title) => !tests.has(title)),
        [],
      );
    });

    it('that are tested as clients see them each have a row', () => {
      const tests = titlesIn(`test/acceptance/${prefix}-outages.test.ts`);
      assert.ok(tests.length > 0);
      assert.deepEqual(
        tests.filter((title) => !named.includes(title)),
        [],
      );
    });
  });
}

/** The lines of the table below the engine's heading. */
function rowsOf(engine: string): string[] {
  const section = page.split(`\n## ${engine}\n`)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);
}

function titlesIn(pattern: string): string[] {
  return globSync(pattern).flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/^ *test\((['"])(.+?)\1, /gm)].map(([, , title = '']) => title),
  );
}
