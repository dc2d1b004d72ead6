/** What docs/deploying.md names is there: files, sections, settings, metrics, and nginx's lines as they are shipped. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { settings } from '../../src/config/schema.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const path = join(ROOT, 'docs/deploying.md');
const guide = readFileSync(path, 'utf8');

test('its links lead somewhere', () => {
  const links = [...guide.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)];
  assert.ok(links.length > 10);
  for (const [link, file = '', section] of links) {
    const target = file === '' ? path : join(dirname(path), file);
    assert.ok(existsSync(target), link);
    if (section === undefined) continue;
    const sections = readFileSync(target, 'utf8').matchAll(/^#+ (.*)$/gm);
    assert.ok([...sections].map(([, title = '']) => anchor(title)).includes(section), link);
  }
});

test('its settings are some', () => {
  const table = guide.slice(guide.indexOf('\n## Settings'), guide.indexOf('\n## Upgrades'));
  const rows = [...table.matchAll(/^\| (`[^|]*) \|/gm)].flatMap(
    ([, names = '']) => names.match(/\w+/g) ?? [],
  );
  const named = rows.filter((name) => /^[A-Z_]{4,}$/.test(name) && name !== 'RATE_');
  assert.ok(named.length > 8, named.join());
  for (const name of named) assert.ok(name in settings, name);
});

test('its metrics are some', () => {
  const metrics = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
  const section = guide.slice(guide.indexOf('\n## What to watch'), guide.indexOf('\n## Sizing'));
  const named = new Set(section.match(/\b(parley|process|gen_ai)_[a-z_]+(?=[{[`])/g));
  assert.ok(named.size > 5);
  for (const name of named) {
    assert.ok(metrics.includes(`\`${name.replace(/_(count|bucket)$/, '')}\``), name);
  }
});

test('its nginx on one machine is that of the compose file with other addresses', () => {
  const shipped = readFileSync(join(ROOT, 'deploy/nginx/upstream.conf'), 'utf8');
  const shown = /^upstream parley \{[^}]*\}$/m.exec(guide)?.[0] ?? '';
  assert.deepEqual(directives(shown), directives(shipped));
});

function anchor(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replace(/\s/g, '-');
}

/** Without comments and addresses, each once. */
function directives(text: string): Set<string> {
  const lines = text.split('\n').map((line) => line.trim().replace(/^server \S+/, 'server'));
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')));
}
