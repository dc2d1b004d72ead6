import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { settingNames } from './schema.ts';
import { insertSettingsTable, renderSettingsTable } from './settings-table.ts';

it("README.md's table of settings is the schema's", () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const stale = 'the table is out of date: run "node src/config/write-settings-table.ts"';
  assert.equal(insertSettingsTable(readme), readme, stale);
});

it('has a row of four cells for each setting and each field of a list', () => {
  const rows = renderSettingsTable().split('\n').slice(2);
  for (const row of rows) assert.match(row, /^\|( [^|]* \|){4}$/);
  const names = rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1]);
  assert.deepEqual(names.slice(0, settingNames.length), settingNames);
  assert.ok(names.includes('providers[].base_url') && names.includes('routes.NAME[].provider'));
});

it('replaces what stands between the markers, and nothing else', () => {
  const readme = 'before\n<!-- settings -->\nold $& text\n<!-- /settings -->\nafter\n';
  const written = insertSettingsTable(readme);
  assert.equal(written, insertSettingsTable(written));
  assert.equal(
    written,
    `before\n<!-- settings -->\n\n${renderSettingsTable()}\n\n<!-- /settings -->\nafter\n`,
  );
  assert.throws(() => insertSettingsTable('no markers'), /markers/);
});
