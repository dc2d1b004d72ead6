import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { releaseStartMemory } from './release-start-memory.ts';

const youngBytes = () =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0;

test('garbage is collected, and the young generation made small', () => {
  let kept: string[][] = [];
  for (let round = 0; round < 50; round += 1) {
    kept.push(Array.from({ length: 20_000 }, (_, index) => `${round} and ${index}`));
  }
  assert.equal(kept.length, 50);
  kept = [];
  const [used, young] = [getHeapStatistics().used_heap_size, youngBytes()];
  releaseStartMemory();
  assert.ok(getHeapStatistics().used_heap_size < used / 2);
  assert.ok(youngBytes() < young / 2, `${young} → ${youngBytes()}`);
  assert.equal('gc' in globalThis, false);
});
