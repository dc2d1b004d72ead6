/**
 * How full buckets are, by name, in little memory, and which of them are full again and can be forgotten. Knows
 * nothing of rates: who writes a bucket says when it will be full.
 *
 * The times at which buckets are full stand in a heap, earliest first. They change with every take and the heap does
 * not: an entry is put right only when it comes to the top, so a take costs the heap nothing.
 */

export interface BucketTable {
  readonly size: number;
  /** What was last written of the bucket; undefined if it is not known. */
  get(name: string): Level | undefined;
  set(name: string, level: Level): void;
  /** Forgets up to `most` buckets that are full at this time: the first that were, and never another. */
  forgetFull(time: number, most: number): void;
}

/** Times in whatever unit the caller has. */
export interface Level {
  tokens: number;
  /** When it had so many. */
  at: number;
  /** When it will be full. */
  fullAt: number;
}

/** A bucket is four numbers in one array: an object of its own would take twice the memory. */
const WIDTH = 4;
const TOKENS = 0;
const AT = 1;
const FULL_AT = 2;
/** The `fullAt` by which the bucket stands in the heap. */
const KEY = 3;

const FIRST_CAPACITY = 1024;

export function createBucketTable(): BucketTable {
  let numbers = new Float64Array(FIRST_CAPACITY * WIDTH);
  const slots = new Map<string, number>();
  const names: string[] = [];
  const free: number[] = [];
  /** Slots as a binary heap: the children of position i are at 2i + 1 and 2i + 2. */
  const heap: number[] = [];
  return {
    get size() {
      return slots.size;
    },
    get,
    set,
    forgetFull,
  };

  function get(name: string): Level | undefined {
    const slot = slots.get(name);
    if (slot === undefined) return undefined;
    return { tokens: read(slot, TOKENS), at: read(slot, AT), fullAt: read(slot, FULL_AT) };
  }

  function set(name: string, { tokens, at, fullAt }: Level): void {
    const known = slots.get(name);
    const slot = known ?? claim(name);
    numbers[slot * WIDTH + TOKENS] = tokens;
    numbers[slot * WIDTH + AT] = at;
    numbers[slot * WIDTH + FULL_AT] = fullAt;
    // A bucket that will be full earlier than the heap has it is forgotten later than it could be, no more.
    if (known === undefined) push(slot);
  }

  function forgetFull(time: number, most: number): void {
    let forgotten = 0;
    while (forgotten < most) {
      const slot = heap[0];
      if (slot === undefined || read(slot, KEY) > time) return;
      if (read(slot, FULL_AT) <= time) {
        forget(slot);
        forgotten += 1;
      } else {
        numbers[slot * WIDTH + KEY] = read(slot, FULL_AT);
        sink(slot);
      }
    }
  }

  function claim(name: string): number {
    const slot = free.pop() ?? names.length;
    names[slot] = name;
    slots.set(name, slot);
    if ((slot + 1) * WIDTH > numbers.length) grow();
    return slot;
  }

  function grow(): void {
    const larger = new Float64Array(numbers.length * 2);
    larger.set(numbers);
    numbers = larger;
  }

  /** @param slot of the top of the heap */
  function forget(slot: number): void {
    slots.delete(names[slot] ?? '');
    names[slot] = '';
    free.push(slot);
    const last = heap.pop();
    if (last !== undefined && last !== slot) sink(last);
  }

  function push(slot: number): void {
    const key = read(slot, FULL_AT);
    numbers[slot * WIDTH + KEY] = key;
    let position = heap.length;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = slotAt(above);
      if (read(parent, KEY) <= key) break;
      heap[position] = parent;
      position = above;
    }
    heap[position] = slot;
  }

  /** Puts the slot at the top and lets it down to where it belongs. */
  function sink(slot: number): void {
    const key = read(slot, KEY);
    let position = 0;
    while (position * 2 + 1 < heap.length) {
      const left = position * 2 + 1;
      const right = left + 1;
      const child = right < heap.length && keyAt(right) < keyAt(left) ? right : left;
      if (keyAt(child) >= key) break;
      heap[position] = slotAt(child);
      position = child;
    }
    heap[position] = slot;
  }

  function keyAt(position: number): number {
    return read(slotAt(position), KEY);
  }

  function slotAt(position: number): number {
    return heap[position] ?? 0;
  }

  function read(slot: number, column: number): number {
    return numbers[slot * WIDTH + column] ?? 0;
  }
}
