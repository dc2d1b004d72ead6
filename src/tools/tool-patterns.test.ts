import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { choosesServer, choosesTool, matchesPattern, passesFilter } from './tool-patterns.ts';

/** Short texts of few characters, so that patterns meet texts that they match. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '_', '*', '?', '[', '\\'), maxLength: 12 });

describe('matchesPattern', () => {
  it('means what the regular expression means in which each star is any text', () => {
    fc.assert(
      fc.property(text, text, (name, pattern) => {
        const source = pattern.replace(/[.\\?[\]]/g, '\\$&').replaceAll('*', '[^]*');
        assert.equal(matchesPattern(name, pattern), new RegExp(`^${source}$`).test(name));
      }),
      { numRuns: 2000 },
    );
  });

  it('answers at once where a regular expression would not', () => {
    // A matcher that goes back would need more steps than there are atoms, and this test would never end.
    assert.equal(matchesPattern('a'.repeat(5000), `${'a*'.repeat(30)}b`), false);
  });
});

describe('passesFilter', () => {
  it('lets everything through that nothing keeps out', () => {
    assert.ok(passesFilter('delete_all', { allow: null, deny: [] }));
    assert.ok(!passesFilter('delete_all', { allow: [], deny: [] }));
  });

  it('lets nothing through that is denied, or not allowed where anything is', () => {
    const patterns = fc.array(text, { maxLength: 3 });
    fc.assert(
      fc.property(text, fc.option(patterns), patterns, (name, allow, deny) => {
        const named = (list: readonly string[]) => list.some((pattern) => matchesPattern(name, pattern));
        assert.equal(passesFilter(name, { allow, deny }), !named(deny) && (allow === null || named(allow)));
      }),
    );
  });
});

describe('the choice of a session', () => {
  const choice = ['everything', 'files.read_*', 'a*.b.c'];

  it('has whole servers, and tools of servers', () => {
    assert.ok(choosesTool('everything', 'any.thing', choice));
    assert.ok(choosesTool('files', 'read_file', choice));
    assert.ok(!choosesTool('files', 'write_file', choice));
    assert.ok(!choosesTool('other', 'read_file', choice));
    // The first dot ends the server; the tool may have dots.
    assert.ok(choosesTool('ab', 'b.c', choice));
  });

  it('tells which servers need not be asked', () => {
    assert.ok(choosesServer('files', choice) && choosesServer('everything', choice));
    assert.ok(!choosesServer('other', choice));
    assert.ok(!choosesServer('everything', 'none') && !choosesTool('everything', 'echo', 'none'));
    assert.ok(!choosesServer('none', []));
  });

  it('has no tool of a server that it has nothing of', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('a', 'b', 'ab'),
        text,
        fc.array(text, { maxLength: 3 }),
        (server, tool, all) => {
          if (choosesTool(server, tool, all)) assert.ok(choosesServer(server, all));
        },
      ),
    );
  });
});
