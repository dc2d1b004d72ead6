import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createToolList, type ReadTools } from './tool-list.ts';
import type { Tool } from './tool-source.ts';

const tool = (name: string): Tool => ({
  name,
  title: null,
  description: null,
  inputSchema: {},
  annotations: null,
});

/** A list whose readings end when the test says so. */
function bench(pauseMs = 0) {
  const readings: PromiseWithResolvers<ReadTools>[] = [];
  let begun = Promise.withResolvers<void>();
  const time = { now: 0 };
  const list = createToolList({
    read() {
      const reading = Promise.withResolvers<ReadTools>();
      readings.push(reading);
      begun.resolve();
      begun = Promise.withResolvers();
      return reading.promise;
    },
    pauseMs,
    now: () => time.now,
  });
  /** The name of the only tool, which says which reading it is from. */
  const known = async () => (await list.get()).map(({ name }) => name).join();
  const answer = async (name: string, holdsMs = Number.POSITIVE_INFINITY) => {
    readings.at(-1)?.resolve({ tools: [tool(name)], holdsMs });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { list, readings, time, known, answer, begun: () => begun.promise };
}

describe('the list of tools', () => {
  it('is read once for all who ask, when they ask', async () => {
    const { list, readings, known, answer } = bench();
    list.changed();
    assert.equal(readings.length, 0);
    const asked = [known(), known()];
    await answer('one');
    assert.deepEqual(await Promise.all(asked), ['one', 'one']);
    assert.equal(await known(), 'one');
    assert.equal(readings.length, 1);
  });

  it('is read again after a reading that failed', async () => {
    const { readings, known, answer } = bench();
    const failing = assert.rejects(known(), /refused/);
    readings.at(-1)?.reject(new Error('refused'));
    await failing;
    const asked = known();
    await answer('one');
    assert.equal(await asked, 'one');
  });

  it('is not waited for by whoever leaves', async () => {
    const { list, known, answer } = bench();
    const abort = new AbortController();
    const leaving = assert.rejects(list.get(abort.signal), /left/);
    abort.abort(new Error('left'));
    await leaving;
    const asked = known();
    await answer('one');
    assert.equal(await asked, 'one');
  });

  it('is what it was until it was read again after a change', async () => {
    const { list, known, answer, begun } = bench();
    const asked = known();
    await answer('one');
    await asked;
    const reading = begun();
    list.changed();
    await reading;
    assert.equal(await known(), 'one');
    await answer('two');
    assert.equal(await known(), 'two');
  });

  it('is read once more if it changed while it was read, however often', async () => {
    const { list, readings, known, answer, begun } = bench();
    const asked = known();
    for (let times = 0; times < 100; times += 1) list.changed();
    const reading = begun();
    await answer('one');
    assert.equal(await asked, 'one');
    await reading;
    await answer('two');
    assert.equal(await known(), 'two');
    assert.equal(readings.length, 2);
  });

  it('is read again in the background when it holds no longer', async () => {
    const { readings, time, known, answer, begun } = bench();
    const asked = known();
    await answer('one', 1000);
    await asked;
    time.now = 999;
    assert.equal(await known(), 'one');
    assert.equal(readings.length, 1);
    time.now = 1000;
    const reading = begun();
    assert.equal(await known(), 'one');
    await reading;
    await answer('two', 1000);
    assert.equal(await known(), 'two');
  });

  it('stays what it was when it cannot be read any more', async () => {
    const { list, readings, known, answer, begun } = bench();
    const asked = known();
    await answer('one');
    await asked;
    const reading = begun();
    list.changed();
    await reading;
    readings.at(-1)?.reject(new Error('gone'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await known(), 'one');
  });

  it('is not read in the background once it is closed', async () => {
    const { list, readings, known, answer } = bench();
    const asked = known();
    await answer('one');
    await asked;
    list.changed();
    list.close();
    list.changed();
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(readings.length, 1);
  });
});
