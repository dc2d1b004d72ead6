/**
 * What becomes of limits when what all servers share of them is out: this server's own take their place, or everything
 * that is limited is refused. Whether it is out is found out by asking it, and then by a trial now and then which no
 * request waits for.
 *
 * Own limits know nothing of the other servers: while the outage lasts each of them allows what all should together, and
 * what it allows is not known afterwards.
 */

import { AppError } from '../errors.ts';
import type { Bucket, Decision, Limiter } from './limiter.ts';
import { LimitsOutage } from './limits-outage.ts';
import type { Slot, Slots } from './slots.ts';

export interface Limits {
  limiter: Limiter;
  slots: Slots;
}

export interface OutageOptions {
  /** Whose calls reject with `LimitsOutage` when they are out. */
  shared: Limits;
  /** What takes their place; null refuses. */
  own: { limiter: () => Limiter; slots: Slots } | null;
  /** Told once when an outage begins, with what was said of it. */
  onBegin: (cause: unknown) => void;
  /** Told once when it is over. */
  onEnd: (milliseconds: number) => void;
  /** Between trials. */
  pauseMilliseconds?: number;
}

export interface OutageLimits extends Limits {
  /** Whether an outage is known of. */
  isOut(): boolean;
  /** Tries no more. */
  close(): void;
}

interface Outage {
  since: number;
  timer: NodeJS.Timeout | undefined;
}

const PAUSE_MILLISECONDS = 500;

/**
 * After this time without an outage the next one begins with full buckets of its own. Sooner, those of the last one go
 * on, so that nobody gets a burst out of each of many short outages.
 */
const REMEMBERED_MILLISECONDS = 60_000;

/** A take that writes, which is what an engine may refuse that answers. It is nobody's. */
const TRIAL: Bucket = { limit: 'trial', identity: '', rate: 1000, burst: 1000 };

/** Where there is nothing in their place, takes reject with `store_unavailable`. Does not keep the process alive. */
export function withOutage(options: OutageOptions): OutageLimits {
  const { shared, own, onBegin, onEnd, pauseMilliseconds = PAUSE_MILLISECONDS } = options;
  let outage: Outage | null = null;
  let lastEnd = Number.NEGATIVE_INFINITY;
  let ownLimiter: Limiter | null = null;
  let isClosed = false;
  /** What was taken from own buckets is given back to them, whoever is asked by then. */
  const ownTakes = new WeakSet<readonly Bucket[]>();

  return {
    limiter: { take, settle },
    slots: { take: takeSlot },
    isOut: () => outage !== null,
    close() {
      isClosed = true;
      clearTimeout(outage?.timer);
    },
  };

  async function take(buckets: readonly Bucket[]): Promise<Decision> {
    // What nothing limits is let through, whoever is out.
    if (buckets.length === 0) return { allowed: true, retryAfterSeconds: 0, buckets: [] };
    return sharedOr(
      () => shared.limiter.take(buckets),
      () => {
        if (ownLimiter === null) throw new AppError('store_unavailable');
        ownTakes.add(buckets);
        return ownLimiter.take(buckets);
      },
    );
  }

  async function settle(buckets: readonly Bucket[], cost: number): Promise<void> {
    if (ownTakes.has(buckets)) return ownLimiter?.settle(buckets, cost);
    if (outage === null) await shared.limiter.settle(buckets, cost);
  }

  async function takeSlot(identity: string, most: number): Promise<Slot | null> {
    return sharedOr(
      () => shared.slots.take(identity, most),
      () => {
        if (own === null) throw new AppError('store_unavailable');
        return own.slots.take(identity, most);
      },
    );
  }

  async function sharedOr<Taken>(ask: () => Promise<Taken>, instead: () => Promise<Taken>): Promise<Taken> {
    if (outage !== null) return instead();
    const askedAt = performance.now();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof LimitsOutage)) throw error;
      // One that is told late of an outage that is over begins none.
      if (askedAt >= lastEnd) begin(error);
      return instead();
    }
  }

  function begin({ cause }: LimitsOutage): void {
    // Of those that asked at the same time the first one is enough.
    if (outage !== null) return;
    const since = performance.now();
    if (ownLimiter === null || since - lastEnd > REMEMBERED_MILLISECONDS) ownLimiter = own?.limiter() ?? null;
    outage = { since, timer: undefined };
    onBegin(cause);
    tryLater(outage);
  }

  function tryLater(current: Outage): void {
    if (!isClosed) current.timer = setTimeout(() => void tryAgain(current), pauseMilliseconds).unref();
  }

  async function tryAgain(current: Outage): Promise<void> {
    try {
      await shared.limiter.take([TRIAL]);
    } catch {
      // Whatever it says, it does not serve.
      tryLater(current);
      return;
    }
    if (isClosed) return;
    outage = null;
    lastEnd = performance.now();
    onEnd(lastEnd - current.since);
  }
}
