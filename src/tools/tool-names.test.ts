import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { modelToolName, shownToolName } from './tool-names.ts';

/** Names that are likely to run into each other, and any text at all. */
const server = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '_', '-', '0'), minLength: 1, maxLength: 5 }),
  fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,80}$/),
);
const tool = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '_', '-', '.', 'é'), minLength: 1, maxLength: 5 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }),
);

describe('modelToolName', () => {
  it('is a name that every model takes', () => {
    fc.assert(
      fc.property(server, tool, (one, other) => {
        assert.match(modelToolName(one, other), /^[a-zA-Z0-9_-]{1,64}$/);
        assert.equal(modelToolName(one, other), modelToolName(one, other));
      }),
    );
  });

  it('belongs to one tool of one server', () => {
    const pairs = fc.uniqueArray(fc.tuple(server, tool), {
      selector: (pair) => JSON.stringify(pair),
      minLength: 2,
      maxLength: 200,
    });
    fc.assert(
      fc.property(pairs, (all) => {
        assert.equal(new Set(all.map(([one, other]) => modelToolName(one, other))).size, all.length);
      }),
    );
  });

  it('cannot be had by another tool that is named like it', () => {
    const long = modelToolName('files', 'x'.repeat(100));
    assert.equal(long.length, 64);
    for (let at = 1; at < long.length; at += 1) {
      assert.notEqual(modelToolName(long.slice(0, at), long.slice(at)), long);
      assert.notEqual(modelToolName(long.slice(0, at), long.slice(at + 1)), long);
    }
  });

  it('can be read where the names allow it', () => {
    assert.equal(modelToolName('files', 'read_file'), 'files__read_file');
    assert.equal(modelToolName('a', '_b'), 'a___b');
    assert.match(modelToolName('a_', 'b'), /^a_b-[0-9a-f]{16}$/);
    assert.match(modelToolName('a__b', 'c'), /^a_b_c-[0-9a-f]{16}$/);
    assert.match(modelToolName('a', 'b__c'), /^a__b__c$/);
    assert.match(modelToolName('git', 'show.commit'), /^git_show_commit-[0-9a-f]{16}$/);
  });

  it('stays the same over versions, because stored calls have it', () => {
    assert.equal(modelToolName('git', 'show.commit'), 'git_show_commit-58b6ec212c882048');
  });
});

it('shows people the server and the tool', () => {
  assert.equal(shownToolName('files', 'read.file'), 'files.read.file');
});
