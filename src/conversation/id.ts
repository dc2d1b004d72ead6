/**
 * Identifiers: UUIDs of version 7 (RFC 9562), whose text sorts in the order of their making. Lists are
 * ordered by id, so that a cursor stays valid when the element it names is deleted.
 */

import { randomFillSync } from 'node:crypto';

/** Random bytes are drawn for this many ids at once: one system call per id would cost more than the id. */
const POOL_IDS = 256;
const RANDOM_BYTES = 8;
/** Counter bits below the millisecond (`rand_a` of the RFC). */
const COUNTER_LIMIT = 0x1000;

const pool = Buffer.alloc(POOL_IDS * RANDOM_BYTES);
let offset = pool.length;
let lastMillisecond = 0;
let counter = 0;

/** A new UUID, greater than every one made before it in this process, even if the clock steps back. */
export function newId(): string {
  const now = Date.now();
  if (now > lastMillisecond) {
    lastMillisecond = now;
    counter = 0;
  } else if (++counter === COUNTER_LIMIT) {
    lastMillisecond += 1;
    counter = 0;
  }
  if (offset === pool.length) {
    randomFillSync(pool);
    offset = 0;
  }
  const high = pool.readUInt32BE(offset);
  const low = pool.readUInt32BE(offset + 4);
  offset += RANDOM_BYTES;
  const time = lastMillisecond.toString(16).padStart(12, '0');
  const variant = (0x8000 | (high >>> 18)).toString(16);
  const node = hex(high & 0xffff, 4) + hex(low, 8);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(counter, 3)}-${variant}-${node}`;
}

/** Not greater than any id that was made at that time or later. @param at milliseconds since the epoch */
export function firstIdAt(at: number): string {
  const time = hex(Math.max(0, at), 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

/** The prefix that the OpenAI wire uses for an item's kind. */
type ItemPrefix = 'msg' | 'rs' | 'fc' | 'fco' | 'call' | 'mcp' | 'mcpr' | 'mcpa';

/** An item's id: its prefix, and a UUID without dashes. */
export function newItemId(prefix: ItemPrefix): string {
  return `${prefix}_${newId().replaceAll('-', '')}`;
}

/**
 * The id of an item that a model makes in a turn: whoever follows the turn knows it as soon as the item begins.
 * @param index counted from 0 over all items of the turn's output
 */
export function outputItemId(prefix: ItemPrefix, turnId: string, index: number): string {
  return `${prefix}_${turnId.replaceAll('-', '')}${hex(index, 4)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
