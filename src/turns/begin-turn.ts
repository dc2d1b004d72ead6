/** The first of a turn's two calls of the store, with the slot that the turn takes of those its client has. */

import { countPlaces, type Item } from '../conversation/item.ts';
import type { Turn } from '../conversation/turn.ts';
import type { Slot, Slots } from '../limits/slots.ts';
import type { BeginOutcome, Store, TurnBegin } from '../stores/store.ts';
import { RETRY_AFTER_SECONDS } from './entrance.ts';
import { rateLimited } from './token-charge.ts';
import type { TurnRequest } from './turn-request.ts';

export interface BeginTurn {
  /**
   * Begins the turn, and sets when that was, if its session is free for it; a turn that has not begun keeps no slot.
   * Throws `rate_limited` if its client has no slot left, and what the store and the slots throw.
   */
  now(request: TurnRequest, turn: Turn): Promise<Tried>;
  /** What the request's key stands for already; null if it has none, or would begin a turn. */
  doneBefore(request: TurnRequest, turn: Turn): Promise<DoneBefore | null>;
}

export interface Tried {
  outcome: BeginOutcome;
  slot: Slot | null;
}

export type DoneBefore = Extract<BeginOutcome, { kind: 'replay' | 'key_reused' }>;

export interface BeginTurnOptions {
  store: Pick<Store, 'beginTurn'>;
  /** For the turns of a client that may run at the same time. */
  slots: Slots;
  /** Places in the window of a session that sets no limit. */
  defaultPlaces: number;
  leaseMilliseconds: number;
}

const LINES = { queue: 'end', interrupt: 'front', reject: null } as const;

/** More calls than a model makes at once: 128 is what the largest providers allow. */
const CALLS_REACH = 128;

export function createBeginTurn({
  store,
  slots,
  defaultPlaces,
  leaseMilliseconds,
}: BeginTurnOptions): BeginTurn {
  return { now, doneBefore };

  async function now(request: TurnRequest, turn: Turn): Promise<Tried> {
    const most = request.allowance.concurrentTurns;
    const slot = most === null ? null : await slots.take(request.owner, most);
    if (most !== null && slot === null) return { outcome: await withoutSlot(request, turn), slot };
    let outcome: BeginOutcome | null = null;
    try {
      turn.createdAt = Date.now();
      outcome = await store.beginTurn(beginOf(request, turn));
    } finally {
      if (outcome?.kind !== 'begun') await slot?.release();
    }
    return { outcome, slot };
  }

  /** What was done already takes no slot. */
  async function withoutSlot(request: TurnRequest, turn: Turn): Promise<DoneBefore> {
    const known = await doneBefore(request, turn);
    if (known === null) throw rateLimited(RETRY_AFTER_SECONDS, 'concurrent_turns');
    return known;
  }

  async function doneBefore(request: TurnRequest, turn: Turn): Promise<DoneBefore | null> {
    if (request.key === null || request.key.takesOver) return null;
    const known = await store.beginTurn({ ...beginOf(request, turn), mayBegin: false, line: null });
    return known.kind === 'replay' || known.kind === 'key_reused' ? known : null;
  }

  function beginOf(request: TurnRequest, turn: Turn): TurnBegin {
    const { owner, sessionId, parentTurnId, input, memoryLimit, key, onBusy } = request;
    return {
      owner,
      sessionId,
      turnId: turn.id,
      parentTurnId,
      input,
      createdAt: turn.createdAt,
      reach: { places: memoryLimit, defaultPlaces, taken: placesTaken(input) },
      key,
      mayBegin: true,
      leaseMilliseconds,
      line: LINES[onBusy],
    };
  }
}

const GOES_ON: ReadonlySet<Item['type']> = new Set(['function_call_output', 'mcp_approval_response']);

/**
 * Places that the input takes of the path to be read. Results reach further back instead: their calls must be
 * found however small the window is.
 */
function placesTaken(input: readonly Item[]): number {
  return input.some(({ type }) => GOES_ON.has(type)) ? -CALLS_REACH : countPlaces(input);
}
