/**
 * The rooms and their arrows, held by a test: who may import whom, how long a file may be, and which names say
 * nothing. A row changes only together with a line in docs/decisions/.
 */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');

interface Room {
  /** Folders and files of `src/` that it may import, beside itself. */
  imports: readonly string[];
  /** Why, for whoever meets the failure. */
  because: string;
}

/** The first row whose path a file begins with is the file's room. */
const ROOMS: Record<string, Room> = {
  'errors.ts': { imports: [], because: 'the catalogue stands below everything' },
  'conversation/': {
    imports: ['errors.ts'],
    because: 'the vocabulary is pure: everybody speaks it, it knows nobody',
  },
  'config/': {
    imports: ['errors.ts'],
    because: 'rooms get their settings as arguments, so the configuration needs to know none of them',
  },
  'redis/': {
    imports: ['errors.ts'],
    because: 'the driver carries scripts and answers, and knows nothing of what they are about',
  },
  'stores/': {
    imports: ['conversation/', 'errors.ts', 'redis/'],
    because: 'a store remembers; it knows nothing of providers, turns or HTTP',
  },
  'providers/': {
    imports: ['conversation/', 'errors.ts'],
    because: 'a provider makes one attempt; it knows nothing of stores, routing or HTTP',
  },
  'telemetry/': {
    imports: ['conversation/', 'errors.ts'],
    because: 'telemetry is told of things and reaches for none',
  },
  'tools/': {
    imports: ['conversation/', 'errors.ts'],
    because: 'a tool source runs the tools of its server; it knows nothing of turns, sessions or settings',
  },
  'limits/': {
    imports: ['conversation/', 'errors.ts', 'redis/'],
    because: 'a limiter counts identities, whoever they are and whatever they ask for',
  },
  'replicas/': {
    imports: ['conversation/', 'errors.ts', 'redis/'],
    because: 'servers tell each other of turns and targets, and know nothing of what is made of it',
  },
  'clients/': {
    imports: ['conversation/', 'errors.ts', 'stores/admin-store.ts'],
    because: 'clients and their keys are kept behind a contract, and know no door',
  },
  'routing/': {
    imports: ['conversation/', 'errors.ts', 'providers/provider.ts'],
    because: 'routing works on the contract of providers, whichever there are',
  },
  'sessions/': {
    imports: ['conversation/', 'errors.ts', 'stores/store.ts'],
    because: 'sessions work on the contract of stores, whichever there is',
  },
  'turns/': {
    imports: [
      'conversation/',
      'errors.ts',
      'sessions/',
      'routing/',
      'stores/store.ts',
      'limits/limiter.ts',
      'limits/slots.ts',
      'replicas/exchange.ts',
      'tools/tool-source.ts',
      'tools/toolbox.ts',
    ],
    because: 'a turn knows contracts and pure rooms, and no door through which it was asked for',
  },
  'http/': {
    imports: [
      'conversation/',
      'errors.ts',
      'sessions/',
      'turns/',
      'clients/',
      'limits/',
      'stores/store.ts',
      'stores/admin-store.ts',
      'providers/provider.ts',
      'tools/tool-names.ts',
      'tools/toolbox.ts',
    ],
    because: 'a door talks to sessions and turns, and never to a concrete store or provider',
  },
  'close-in-phases.ts': { imports: [], because: 'it closes what it is handed and knows none of it' },
  'composition/': { imports: [''], because: 'parts of the composition root, which knows everybody' },
  'main.ts': { imports: [''], because: 'the composition root knows everybody' },
  'cli/': { imports: [''], because: 'the commands know everybody' },
};

/** Rooms that nobody may import, and who may all the same. */
const CLOSED: Record<string, readonly string[]> = {
  'main.ts': ['cli/'],
  'composition/': ['main.ts', 'cli/'],
  'cli/': [],
  'config/': ['main.ts', 'composition/', 'cli/'],
};

const MAX_LINES = 400;

const BANNED_NAMES = /^(utils?|helpers?|misc|common|shared|base|managers?|services?|index)(\.|$)/;

const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => path.slice('src/'.length));
const tests = globSync('{test,bench,examples}/**/*.ts', { cwd: ROOT });

/** Files whose imports the table holds: tests may look at everything. */
const held = sources.filter((path) => !/\.(test|contract)\.ts$/.test(path));

describe('architecture', () => {
  it('finds the sources', () => {
    assert.ok(held.length > 30, 'the test looks in the wrong place');
  });

  it('has every file in a room', () => {
    for (const path of held) assert.ok(roomOf(path), `src/${path} is in no room of the table`);
  });

  for (const [room, { imports, because }] of Object.entries(ROOMS)) {
    it(`${room} imports only what its row allows`, () => {
      for (const path of held.filter((path) => roomOf(path) === room)) {
        for (const imported of importsOf(path)) {
          const allowed = [room, ...imports].some((prefix) => imported.startsWith(prefix));
          assert.ok(allowed, `src/${path} imports src/${imported}: ${because}`);
        }
      }
    });
  }

  for (const [room, importers] of Object.entries(CLOSED)) {
    it(`${room} is imported only by ${importers.join(', ') || 'nobody'}`, () => {
      for (const path of held.filter((path) => roomOf(path) !== room)) {
        if (importers.some((prefix) => path.startsWith(prefix))) continue;
        const reached = importsOf(path).find((imported) => imported.startsWith(room));
        assert.equal(reached, undefined, `src/${path} imports src/${reached}`);
      }
    });
  }

  it('has no cycle of imports', () => {
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]) => {
      assert.ok(!trail.includes(path), `a cycle: ${[...trail, path].join(' → ')}`);
      if (done.has(path)) return;
      for (const imported of importsOf(path)) visit(imported, [...trail, path]);
      done.add(path);
    };
    for (const path of held) visit(path, []);
  });

  it(`has no file of more than ${MAX_LINES} lines`, () => {
    for (const path of [...sources.map((path) => `src/${path}`), ...tests]) {
      const lines = readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1;
      assert.ok(lines <= MAX_LINES, `${path} has ${lines} lines: it holds more than one idea`);
    }
  });

  it('has no file or folder whose name says nothing', () => {
    for (const path of [...sources, ...tests]) {
      const banned = path.split('/').find((name) => BANNED_NAMES.test(name));
      assert.equal(banned, undefined, `${path}: "${banned}" could hold anything; name what is in it`);
    }
  });

  it('reads the environment in the commands alone', () => {
    for (const path of held.filter((path) => !path.startsWith('cli/'))) {
      const code = readFileSync(join(ROOT, 'src', path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      assert.ok(!code.includes('process.env'), `src/${path} reads process.env: settings come as arguments`);
    }
  });
});

function roomOf(path: string): string | undefined {
  return Object.keys(ROOMS).find((room) => path.startsWith(room));
}

/** What a source imports of `src/`, types included, as paths within it. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(ROOT, 'src', path), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s[^'"]*?from\s+'(\.[^']+)'|import\('(\.[^']+)'\)/gm);
  return [...statements]
    .map(([, from, dynamic]) => from ?? dynamic ?? '')
    .map((specifier) => relative(join(ROOT, 'src'), join(ROOT, 'src', dirname(path), specifier)));
}
