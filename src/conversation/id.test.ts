import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { firstIdAt, newId, newItemId } from './id.ts';

describe('newId', () => {
  it('makes UUIDs of version 7 with the time in front', () => {
    const before = Date.now();
    const id = newId();
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const time = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    assert.ok(time >= before && time <= Date.now() + 1000, `${time}`);
  });

  it('makes them in ascending order, more than a millisecond counts, and never twice', () => {
    const ids = Array.from({ length: 20_000 }, newId);
    assert.deepEqual(ids, ids.toSorted());
    assert.equal(new Set(ids).size, ids.length);
  });

  it('keeps the order when the clock steps back', (t) => {
    const first = newId();
    t.mock.method(Date, 'now', () => 1_000_000);
    const second = newId();
    assert.ok(second > first, `${second} after ${first}`);
    mock.restoreAll();
  });

  it('makes none that sorts before the first of its time', (t) => {
    const now = 1_800_000_000_000;
    t.mock.method(Date, 'now', () => now);
    const id = newId();
    mock.restoreAll();
    assert.ok(firstIdAt(now) <= id && id < firstIdAt(now + 1), id);
    assert.ok(firstIdAt(-1) < firstIdAt(1) && firstIdAt(0) === firstIdAt(-5_000));
  });

  it('gives items the prefix of their kind', () => {
    assert.match(newItemId('msg'), /^msg_[0-9a-f]{32}$/);
  });
});
