import assert from 'node:assert/strict';
import { it } from 'node:test';
import { nearestName } from './nearest-name.ts';

const names = ['port', 'host', 'memory_max', 'memory_default'];

it('finds the name that a slip of the finger missed', () => {
  assert.equal(nearestName('prt', names), 'port');
  assert.equal(nearestName('PORT', names), 'port');
  assert.equal(nearestName('memory-max', names), 'memory_max');
  assert.equal(nearestName('memorymax', names), 'memory_max');
  assert.equal(nearestName('memroy_default', names), 'memory_default');
});

it('suggests nothing for another word', () => {
  assert.equal(nearestName('colour', names), undefined);
  assert.equal(nearestName('', names), undefined);
  assert.equal(nearestName('p', names), undefined);
});
