import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closeInPhases, type Phase } from './close-in-phases.ts';

/** A log that keeps what it is told: the level, the phase's name, and the error if there is one. */
function keepingLog() {
  const lines: [level: string, name: unknown, error?: unknown][] = [];
  const info = ({ name }: Record<string, unknown>) => void lines.push(['info', name]);
  const error = ({ name, err }: Record<string, unknown>) => void lines.push(['error', name, err]);
  return { lines, info, error };
}

describe('closing in phases', () => {
  it('closes one after another, and says so', async () => {
    const order: string[] = [];
    const phases = ['a', 'b', 'c'].map(
      (name): Phase => ({
        name,
        async close() {
          order.push(`${name} begins`);
          await new Promise(setImmediate);
          order.push(`${name} ends`);
        },
      }),
    );
    const log = keepingLog();
    await closeInPhases(phases, log);
    assert.deepEqual(
      order,
      ['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
    assert.deepEqual(
      log.lines,
      ['a', 'b', 'c'].map((name) => ['info', name]),
    );
  });

  it('numbers and times the phases', async () => {
    const told: Record<string, unknown>[] = [];
    const info = (line: Record<string, unknown>) => void told.push(line);
    await closeInPhases([phase('a'), phase('b')], { info, error: assert.fail });
    for (const [index, line] of told.entries()) {
      assert.deepEqual([line.phase, line.of], [index + 1, 2]);
      assert.ok(Number.isInteger(line.ms));
    }
    assert.equal(told.length, 2);
  });

  it('goes on after a phase that fails, in whatever way, and throws the failures at the end', async () => {
    const rejected = new Error('rejected');
    const thrown = new Error('thrown');
    let isClosed = false;
    const log = keepingLog();
    const closing = closeInPhases(
      [
        phase('a', () => Promise.reject(rejected)),
        phase('b', () => {
          throw thrown;
        }),
        phase('c', async () => {
          isClosed = true;
        }),
      ],
      log,
    );
    await assert.rejects(closing, (error) => {
      assert.ok(error instanceof AggregateError);
      assert.deepEqual(error.errors, [rejected, thrown]);
      return true;
    });
    assert.equal(isClosed, true);
    assert.deepEqual(log.lines, [
      ['error', 'a', rejected],
      ['error', 'b', thrown],
      ['info', 'c'],
    ]);
  });

  it('has nothing to say where there is nothing to close', async () => {
    await closeInPhases([], { info: assert.fail, error: assert.fail });
  });
});

function phase(name: string, close: Phase['close'] = async () => undefined): Phase {
  return { name, close };
}
