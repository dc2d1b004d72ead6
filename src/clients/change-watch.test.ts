import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { AuditEntry } from '../conversation/client.ts';
import { createChangeWatch } from './change-watch.ts';

const entry = (id: string): AuditEntry => ({ id, at: 1, action: 'key.revoke', subject: 's', details: {} });

async function watching() {
  const state = { entries: [entry('b')], out: false, read: [] as string[][], failReload: false, looks: 0 };
  const silences: Promise<void>[] = [];
  const told: string[] = [];
  const watch = await createChangeWatch({
    adminStore: {
      async listAudit() {
        state.looks += 1;
        await silences.shift();
        if (state.out) throw new Error('out');
        return { data: state.entries, hasMore: false };
      },
    },
    async onChange(entries) {
      if (state.failReload) throw new Error('half read');
      state.read.push(entries.map(({ id }) => id));
    },
    onFailure: (error) => told.push((error as Error).message),
  });
  return { watch, state, silences, told };
}

async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds);
  await new Promise(setImmediate);
}

describe('changes at other servers', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setInterval'] }));
  afterEach(() => mock.timers.reset());

  it('are read when there are any, within a second', async () => {
    const { watch, state } = await watching();
    await pass(500);
    assert.deepEqual(state.read, []);
    state.entries = [entry('d'), entry('c'), entry('b')];
    await pass(500);
    await pass(500);
    assert.deepEqual(state.read, [['d', 'c']]);
    await watch.close();
    state.entries = [entry('e')];
    await pass(5000);
    assert.equal(state.read.length, 1);
  });

  it('are seen also where the clock of their server is behind', async () => {
    const { watch, state } = await watching();
    state.entries = [entry('b'), entry('a')];
    await pass(500);
    assert.deepEqual(state.read, [['a']]);
    await watch.close();
  });

  it('are read after an outage, which is told of once', async () => {
    const { watch, state, told } = await watching();
    state.out = true;
    await pass(500);
    await pass(500);
    state.entries = [entry('c')];
    state.out = false;
    state.failReload = true;
    await pass(500);
    state.failReload = false;
    await pass(500);
    assert.deepEqual([told, state.read], [['out'], [['c']]]);
    await watch.close();
  });

  it('are looked for once after a long silence of the store, and closing waits for one look', async () => {
    const { watch, state, silences } = await watching();
    for (const close of [false, true]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      silences.push(promise);
      state.looks = 0;
      await pass(60_000);
      assert.equal(state.looks, 1);
      const closed = close ? watch.close() : null;
      resolve();
      await closed;
      await pass(0);
      assert.equal(state.looks, 1, 'what was missed is not made up for');
    }
  });
});
