/**
 * Identifiers: UUIDs of version 7 (RFC 9562), whose text sorts in the order of their making. Lists are
 * ordered by id, so that a cursor stays valid when the element it names is deleted.
 */

import { randomFillSync } from 'node:crypto';

/** Random bytes are drawn for this many ids at once: one system call per id would cost more than the id. */
const POOL_IDS = 256;
const RANDOM_BYTES = 8;
/** Counter bits below the millisecond (`rand_a` of the RFC), behind the version. */
const COUNTER_LIMIT = 0x1000;

const pool = Buffer.alloc(POOL_IDS * RANDOM_BYTES);
let offset = pool.length;
let lastMillisecond = 0;
/** The same as it stands in ids: many are made in one millisecond. */
let time = '';
let counter = 0;

/** A new UUID, greater than every one made before it in this process, even if the clock steps back. */
export function newId(): string {
  const digits = newDigits();
  const [a, b, c, d] = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20)];
  return `${a}-${b}-${c}-${d}-${digits.slice(20)}`;
}

function newDigits(): string {
  const now = Date.now();
  if (now > lastMillisecond) startMillisecond(now);
  else if (++counter === COUNTER_LIMIT) startMillisecond(lastMillisecond + 1);
  if (offset === pool.length) {
    randomFillSync(pool);
    offset = 0;
  }
  const start = offset;
  offset += RANDOM_BYTES;
  pool[start] = 0x80 | ((pool[start] ?? 0) & 0x3f);
  return `${time}${(0x7000 | counter).toString(16)}${pool.toString('hex', start, offset)}`;
}

function startMillisecond(millisecond: number): void {
  lastMillisecond = millisecond;
  time = hex(millisecond, 12);
  counter = 0;
}

/** Not greater than any id that was made at that time or later. @param at milliseconds since the epoch */
export function firstIdAt(at: number): string {
  const digits = hex(Math.max(0, at), 12);
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7000-8000-000000000000`;
}

/** The prefix that the OpenAI wire uses for an item's kind. */
type ItemPrefix = 'msg' | 'rs' | 'fc' | 'fco' | 'call' | 'mcp' | 'mcpr' | 'mcpa';

/** An item's id: its prefix, and a UUID without dashes. */
export function newItemId(prefix: ItemPrefix): string {
  return `${prefix}_${newDigits()}`;
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
