/**
 * The entrance to a store that servers share: its lines are those of all of them, and alone decide who is next. Who waits
 * here has a place there from its arrival on; when a turn is over, those who wait are tried in the order of their coming,
 * until one begins or the store says that it is not their turn.
 */

import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { TurnName } from '../replicas/exchange.ts';
import type { BeginOutcome, Store } from '../stores/store.ts';
import type { BeginTurn, Tried } from './begin-turn.ts';
import { type Entered, type Entrance, lineOf, queueFull, sessionBusy } from './entrance.ts';
import type { Leases } from './leases.ts';
import type { SessionWatch } from './session-watch.ts';
import type { TurnRequest } from './turn-request.ts';

export interface SharedEntranceOptions {
  begin: BeginTurn;
  store: Pick<Store, 'leaveLine'>;
  leases: Pick<Leases, 'stand'>;
  watch: SessionWatch;
  /** How many may wait here for a session whose turn is running. */
  queueMax: number;
  /** Ends a turn early, wherever it runs. */
  endEarly(turn: TurnName): Promise<void>;
}

/** How often the store is asked where other servers cannot say that a turn is over. */
const LOOK_AGAIN_MILLISECONDS = 100;

const NEVER = new AbortController().signal;

interface Waiter {
  request: TurnRequest;
  turn: Turn;
  /** Whether the store is being asked for it: until it answers, nobody knows whether the turn has begun. */
  isAsked: boolean;
  /** Why it is to wait no longer. */
  dismissal: AppError | null;
  /** The turn that it has interrupted. */
  interrupted: string | null;
  entered: PromiseWithResolvers<Entered>;
}

interface Line {
  sessionId: string;
  /** Resolves when whoever came last was asked for once: who comes next is asked for after it, to stand behind it. */
  lastArrival: Promise<unknown>;
  /** How many are on their way to that. */
  arriving: number;
  /** In the order of their coming, those that interrupt before the others. */
  waiters: Waiter[];
  isServed: boolean;
}

type Busy = Extract<BeginOutcome, { kind: 'busy' }>;

type Arrived = { entered: Entered; waiter: null } | { entered: null; waiter: Waiter };

export function createSharedEntrance(options: SharedEntranceOptions): Entrance {
  const { begin, store, leases, watch, queueMax, endEarly } = options;
  /** Those in which somebody waits or arrives. */
  const lines = new Map<string, Line>();
  let refusal: AppError | null = null;
  return { enter, refuse };

  async function enter(request: TurnRequest, turn: Turn, signal: AbortSignal): Promise<Entered> {
    if (refusal !== null) throw refusal;
    const name = lineOf(request);
    const line = lines.get(name) ?? newLine(request.sessionId);
    lines.set(name, line);
    try {
      const { entered, waiter } = await arrive(line, request, turn);
      return waiter === null ? entered : await wait(line, waiter, signal);
    } finally {
      if (line.waiters.length === 0 && line.arriving === 0) lines.delete(name);
    }
  }

  /** Tries to begin the turn at once, or lets it stand in line. */
  async function arrive(line: Line, request: TurnRequest, turn: Turn): Promise<Arrived> {
    const before = line.lastArrival;
    const { promise, resolve } = Promise.withResolvers<void>();
    line.lastArrival = promise;
    line.arriving += 1;
    try {
      if (line.arriving > 1) await before;
      // Who will not wait, or finds no room to, takes no place.
      const waits = request.onBusy !== 'reject' && line.waiters.length < queueMax;
      const tried = await begin.now(waits ? request : { ...request, onBusy: 'reject' }, turn);
      if (tried.outcome.kind !== 'busy') return { entered: enteredOf(request, tried), waiter: null };
      if (request.onBusy === 'reject') throw sessionBusy(tried.outcome.turnId);
      if (!waits) throw queueFull(queueMax);
      return { entered: null, waiter: stand(line, request, turn, tried.outcome) };
    } finally {
      line.arriving -= 1;
      resolve();
    }
  }

  async function wait(line: Line, waiter: Waiter, signal: AbortSignal): Promise<Entered> {
    const place = leases.stand({ sessionId: line.sessionId, turnId: waiter.turn.id });
    const giveUp = () => dismiss(line, waiter, new AppError('turn_cancelled'));
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    else if (refusal !== null) dismiss(line, waiter, refusal);
    try {
      return await waiter.entered.promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      place.release();
    }
  }

  /** Takes its place among those who wait here, and sees to it that they are tried. */
  function stand(line: Line, request: TurnRequest, turn: Turn, busy: Busy): Waiter {
    const waiter: Waiter = {
      request,
      turn,
      isAsked: false,
      dismissal: null,
      interrupted: null,
      entered: Promise.withResolvers(),
    };
    line.waiters.splice(placeOf(waiter, line), 0, waiter);
    interrupt(waiter, busy).catch((error: unknown) => drop(line, waiter, error));
    if (!line.isServed) void serve(line);
    return waiter;
  }

  /** Tries those who wait whenever it is worth it, as long as there are any. */
  async function serve(line: Line): Promise<void> {
    line.isServed = true;
    for (let looks = 0; line.waiters.length > 0; looks += 1) {
      await watch.again(line.sessionId, looks, LOOK_AGAIN_MILLISECONDS, NEVER);
      if (await letNextIn(line)) looks = -1;
    }
    line.isServed = false;
  }

  /** Whether anybody waits no longer. */
  async function letNextIn(line: Line): Promise<boolean> {
    for (const waiter of line.waiters.slice()) {
      const busy = await ask(line, waiter);
      if (busy === null) return true;
      // While a turn runs nobody can begin; otherwise it is somebody else's turn, who may be waiting here as well.
      if (busy.turnId !== null) return false;
    }
    return false;
  }

  /** Tries to begin the turn; null if it waits no longer. */
  async function ask(line: Line, waiter: Waiter): Promise<Busy | null> {
    const { request, turn } = waiter;
    waiter.isAsked = true;
    try {
      const tried = await begin.now(request, turn);
      if (tried.outcome.kind === 'busy') {
        await interrupt(waiter, tried.outcome);
        return waiter.dismissal === null ? tried.outcome : null;
      }
      remove(line, waiter);
      if (tried.outcome.kind !== 'begun') await leaveLine(request, turn);
      waiter.entered.resolve(enteredOf(request, tried));
    } catch (error) {
      drop(line, waiter, error);
      // Nobody behind it would fare better, and each would wait as long for the same answer.
      const isOutage = error instanceof AppError && error.code === 'store_unavailable';
      for (const other of isOutage ? [...line.waiters] : []) drop(line, other, error);
    } finally {
      waiter.isAsked = false;
      if (waiter.dismissal !== null) drop(line, waiter, waiter.dismissal);
    }
    return null;
  }

  /** Of several that interrupt, each ends whatever runs before its turn comes. */
  async function interrupt(waiter: Waiter, { turnId }: Busy): Promise<void> {
    const { owner, sessionId, onBusy } = waiter.request;
    if (onBusy !== 'interrupt' || turnId === null || turnId === waiter.interrupted) return;
    waiter.interrupted = turnId;
    await endEarly({ owner, sessionId, turnId });
  }

  /** It is to wait no longer; a turn that has begun in the meantime runs. */
  function dismiss(line: Line, waiter: Waiter, error: AppError): void {
    waiter.dismissal ??= error;
    if (!waiter.isAsked) drop(line, waiter, error);
  }

  function drop(line: Line, waiter: Waiter, error: unknown): void {
    if (!remove(line, waiter)) return;
    void leaveLine(waiter.request, waiter.turn).finally(() => waiter.entered.reject(error));
  }

  /** Nobody behind it has to wait until its place lapses, as it does if this cannot be said. */
  function leaveLine({ sessionId }: TurnRequest, { id }: Turn): Promise<void> {
    return store.leaveLine(sessionId, id).catch(() => undefined);
  }

  function enteredOf({ sessionId }: TurnRequest, { outcome, slot }: Tried): Entered {
    if (outcome.kind !== 'begun') return { outcome, place: null };
    const controller = new AbortController();
    const cancel = (reason: AppError) => controller.abort(reason);
    return { outcome, place: { signal: controller.signal, cancel, leave } };

    async function leave(): Promise<void> {
      const isFree = slot?.release();
      watch.over(sessionId);
      await isFree;
    }
  }

  function refuse(error: AppError): void {
    refusal = error;
    for (const line of lines.values()) {
      for (const waiter of line.waiters.slice()) dismiss(line, waiter, error);
    }
  }
}

function newLine(sessionId: string): Line {
  return { sessionId, lastArrival: Promise.resolve(), arriving: 0, waiters: [], isServed: false };
}

/** Behind those that came before, and before those that do not interrupt if it does. */
function placeOf({ request }: Waiter, { waiters }: Line): number {
  const first = waiters.findIndex((other) => other.request.onBusy !== 'interrupt');
  return request.onBusy !== 'interrupt' || first === -1 ? waiters.length : first;
}

/** Whether it was there. */
function remove({ waiters }: Line, waiter: Waiter): boolean {
  const index = waiters.indexOf(waiter);
  if (index !== -1) waiters.splice(index, 1);
  return index !== -1;
}
