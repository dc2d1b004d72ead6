/**
 * What clients use, added up in memory and brought to the store every second: if each turn wrote to the sum of its day,
 * turns that end at the same time would wait for each other. What a crash takes with it is the last second's.
 *
 * The ledger writes totals under an id of its own, so that it never has to read what others have written, and a write
 * may be repeated.
 */

import { dayOf } from '../conversation/day.ts';
import { newId } from '../conversation/id.ts';
import type { Turn } from '../conversation/turn.ts';
import { addUsage, NO_USAGE, type UsageTotal } from '../conversation/usage-count.ts';
import type { AdminStore } from '../stores/admin-store.ts';
import { usageOfTurn } from './turn-usage.ts';

export interface UsageLedger {
  /** A turn is over. */
  note(owner: string, turn: Pick<Turn, 'attempts' | 'createdAt' | 'completedAt'>): void;
  /** Tokens that the owner's turns have taken and given since midnight, in UTC, as far as they are over. */
  usedToday(owner: string): Promise<number>;
  /** Brings what there is to the store, and rejects if that cannot be. Nothing may be noted afterwards. */
  close(): Promise<void>;
}

export interface UsageLedgerOptions {
  adminStore: Pick<AdminStore, 'saveUsage' | 'readUsage'>;
  /** Told once when the store cannot be written to, and again only after it could in between. */
  onFailure(error: unknown): void;
  /** Totals beyond which those that are written are dropped. */
  keep?: number;
  /** Totals beyond which usage in new places is forgotten, which is told as a failure. */
  most?: number;
}

const PAUSE_MILLISECONDS = 1000;
/** A few milliseconds of the store's work, in which no turn begins. */
const BATCH = 500;
/** A total takes half a kilobyte. */
const KEEP = 10_000;
/** Reached only while the store refuses usage and takes turns, with more clients and models than `KEEP`. */
const MOST = 50_000;

/** Does not keep the process alive. */
export function createUsageLedger(options: UsageLedgerOptions): UsageLedger {
  const { adminStore, onFailure, keep = KEEP, most = MOST } = options;
  const totals = new Map<string, UsageTotal>();
  /** Those that the store does not know as they are. */
  const changed = new Set<UsageTotal>();
  let writer = newId();
  let failing = false;
  /** The last write, which may be over. Never rejects. */
  let underWay: Promise<void> = Promise.resolve();
  /** The one that has not begun; null if there is none. It takes what is noted until then, for everybody who asks. */
  let waiting: Promise<void> | null = null;
  const timer = setInterval(() => {
    write().catch(failed);
  }, PAUSE_MILLISECONDS).unref();

  return { note, usedToday, close };

  function note(owner: string, turn: Pick<Turn, 'attempts' | 'createdAt' | 'completedAt'>): void {
    const day = dayOf(turn.completedAt ?? turn.createdAt);
    for (const { provider, model, ...count } of usageOfTurn(turn)) {
      const name = JSON.stringify([day, owner, provider, model]);
      let total = totals.get(name);
      if (total === undefined) {
        if (totals.size >= most) {
          failed(new Error(`Usage is forgotten: ${most} totals wait for the store.`));
          continue;
        }
        total = { day, owner, provider, model, writer, ...NO_USAGE };
        totals.set(name, total);
      }
      addUsage(total, count);
      changed.add(total);
    }
  }

  async function usedToday(owner: string): Promise<number> {
    // What is under way to the store, and what waits for it, is there first.
    await write();
    const today = dayOf(Date.now());
    const sums = await adminStore.readUsage({ from: today, to: today, owner, by: [], limit: 1 });
    return sums.data.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0);
  }

  /** Everything that was noted by now, written after the write under way; while a store is silent no more pile up. */
  function write(): Promise<void> {
    if (waiting !== null) return waiting;
    const written = underWay.then(async () => {
      waiting = null;
      await flush();
      failing = false;
      dropWritten();
    });
    waiting = written;
    underWay = written.catch(() => undefined);
    return written;
  }

  function failed(error: unknown): void {
    if (!failing) onFailure(error);
    failing = true;
  }

  /** Writes what has changed until now; what changes meanwhile is for the next time. */
  async function flush(): Promise<void> {
    const waiting = [...changed];
    for (let start = 0; start < waiting.length; start += BATCH) {
      const batch = waiting.slice(start, start + BATCH);
      for (const total of batch) changed.delete(total);
      try {
        await adminStore.saveUsage(batch.map((total) => ({ ...total })));
      } catch (error) {
        for (const total of batch) changed.add(total);
        throw error;
      }
    }
  }

  /**
   * Makes room: for the days that are over at once, for everything where there is too much. Whatever comes to a place
   * that was dropped begins at nothing, and so is counted by another writer.
   */
  function dropWritten(): void {
    const today = dayOf(Date.now());
    const isFull = totals.size > keep;
    const before = totals.size;
    for (const [name, total] of totals) {
      if ((isFull || total.day < today) && !changed.has(total)) totals.delete(name);
    }
    if (totals.size < before) writer = newId();
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    await underWay;
    await flush();
  }
}
