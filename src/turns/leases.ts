/**
 * The leases by which this server's turns hold their sessions in a store that other servers use as well: renewed as
 * long as the turns run, and those of servers that died looked for. On a store that is this server's alone nothing
 * is done.
 */

import { AppError } from '../errors.ts';
import type { Store, TurnClaim } from '../stores/store.ts';

export interface LeasesOptions {
  store: Pick<Store, 'isShared' | 'renewTurns' | 'failInterrupted'>;
  /** After so long at most a session is free whose server has died. */
  leaseMilliseconds: number;
  /** Told once when leases cannot be renewed, and again only after they could in between. */
  onFailure(error: unknown): void;
  /** Told how many turns of servers that died were failed. */
  onInterrupted(count: number): void;
}

export interface Leases {
  /** What a turn is to be begun with, in milliseconds. */
  readonly milliseconds: number;
  /**
   * Keeps the turn's lease until `release` is called.
   * @param end called if the turn is to end: it does not hold its session any more, or somebody has cancelled it
   */
  keep(claim: TurnClaim, end: (reason: AppError) => void): { release(): void };
  /** Keeps the turn's place in its session's line until `release` is called; one that is lost is taken anew by asking. */
  stand(place: Pick<TurnClaim, 'sessionId' | 'turnId'>): { release(): void };
  close(): Promise<void>;
}

/**
 * A lease lasts four fifths of the time and is renewed, and looked for, every fifth: so whoever died last renewed it at
 * the latest when it died, and the others find out at most a fifth after its end.
 */
const PARTS = 5;

export function createLeases({ store, leaseMilliseconds, onFailure, onInterrupted }: LeasesOptions): Leases {
  const every = leaseMilliseconds / PARTS;
  const milliseconds = leaseMilliseconds - every;
  const kept = new Map<string, { claim: TurnClaim; end: (reason: AppError) => void }>();
  const places = new Set<Pick<TurnClaim, 'sessionId' | 'turnId'>>();
  let failing = false;
  let round: Promise<void> | null = null;
  const timer = store.isShared ? setInterval(nextRound, every).unref() : undefined;
  return { milliseconds, keep, stand, close };

  function keep(claim: TurnClaim, end: (reason: AppError) => void) {
    kept.set(claim.turnId, { claim, end });
    return { release: () => kept.delete(claim.turnId) };
  }

  function stand(place: Pick<TurnClaim, 'sessionId' | 'turnId'>) {
    places.add(place);
    return { release: () => places.delete(place) };
  }

  /** While a store is slow or silent, rounds that were missed are not made up for. */
  function nextRound(): void {
    round ??= renewInTime().finally(() => {
      round = null;
    });
  }

  async function renewInTime(): Promise<void> {
    try {
      await renew();
      failing = false;
    } catch (error) {
      if (!failing) onFailure(error);
      failing = true;
    }
  }

  async function renew(): Promise<void> {
    const running = [...kept.values()].map(({ claim }) => claim);
    if (running.length > 0 || places.size > 0) {
      const waiting = [...places];
      const renewed = await store.renewTurns({ running, waiting, leaseMilliseconds: milliseconds });
      // A place that is lost may be that of a turn which has begun in the meantime.
      const held = new Set(running.map(({ turnId }) => turnId));
      const lost = renewed.lost.filter((turnId) => held.has(turnId));
      for (const turnId of lost) kept.get(turnId)?.end(new AppError('turn_superseded'));
      for (const turnId of renewed.cancelled) kept.get(turnId)?.end(new AppError('turn_cancelled'));
    }
    const { code, message } = new AppError('server_restarted');
    const interrupted = await store.failInterrupted({ code, message }, Date.now());
    if (interrupted > 0) onInterrupted(interrupted);
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    await round;
  }
}
