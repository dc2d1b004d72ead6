/** A command: refreshes the README's table of settings. */

import { readFileSync, writeFileSync } from 'node:fs';
import { insertSettingsTable } from './settings-table.ts';

const readme = new URL('../../README.md', import.meta.url);
writeFileSync(readme, insertSettingsTable(readFileSync(readme, 'utf8')));
