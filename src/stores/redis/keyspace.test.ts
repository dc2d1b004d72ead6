import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../conversation/id.ts';
import { createKeyspace, sessionKeys } from './keyspace.ts';

const SLOTS = 16_384;

/** The slot of a key as Redis Cluster specifies it: CRC16 (XMODEM) of what stands between the first braces. */
function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80_00 ? (crc << 1) ^ 0x10_21 : crc << 1;
    crc &= 0xff_ff;
  }
  return crc % SLOTS;
}

const keyspace = createKeyspace('parley:');

test('everything of a session, and of its bucket, is in one slot', () => {
  const id = newId();
  const bucket = keyspace.bucketOf(id);
  const keys = [...Object.values(sessionKeys(bucket, id)), ...Object.values(bucket)];
  assert.equal(new Set(keys.map(slotOf)).size, 1);
  assert.equal(new Set(keys).size, keys.length);
});

test("an owner's lists are in one slot, whatever the owner is called", () => {
  for (const owner of ['shop', 'a}b', '{', 'Ü "\n']) {
    assert.equal(new Set(Object.values(keyspace.ownerKeys(owner)).map(slotOf)).size, 1);
  }
});

test('sessions are dealt evenly to the buckets, and buckets to the masters of clusters', () => {
  const counts = new Map<string, number>();
  for (let made = 0; made < 64_000; made += 1) {
    const { base } = keyspace.bucketOf(newId());
    counts.set(base, (counts.get(base) ?? 0) + 1);
  }
  assert.equal(counts.size, keyspace.buckets.length);
  for (const count of counts.values())
    assert.ok(count > 800 && count < 1200, `a bucket has ${count} of 1000`);
  for (const masters of [3, 4, 5, 6, 8]) {
    const shares = Array.from({ length: masters }, () => 0);
    for (const { base } of keyspace.buckets) shares[Math.floor((slotOf(base) * masters) / SLOTS)]! += 1;
    const even = keyspace.buckets.length / masters;
    for (const share of shares) assert.ok(Math.abs(share - even) <= 3, `${shares.join(' ')} of ${masters}`);
  }
});

test('where a session lies never changes', () => {
  const id = '01a21329-2cb9-7009-8479-3a6f12fb2d14';
  assert.equal(keyspace.bucketOf(id).base, 'parley:{s50}:');
  assert.equal(keyspace.sessionKeyOf('shop', 'k').bucket.base, 'parley:{s36}:');
});
