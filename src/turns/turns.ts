/** Turns as the doors start them: one at a time per session, run to their end whatever becomes of the caller. */

import { setTimeout as pause } from 'node:timers/promises';
import type { EndedTurn } from '../conversation/event.ts';
import { newId } from '../conversation/id.ts';
import { countPlaces, type Item } from '../conversation/item.ts';
import { lastEvent } from '../conversation/traced-events.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Slots } from '../limits/slots.ts';
import { checkMemoryLimit, type MemorySettings } from '../sessions/sessions.ts';
import type { BeginOutcome, TurnBegin } from '../stores/store.ts';
import { type AdmittedPlace, withSlot } from './admitted-place.ts';
import { findStored } from './ended-turns.ts';
import type { Leases } from './leases.ts';
import { createTurnLog, type LiveTurn } from './live-turn.ts';
import { runTurn, type TurnRequest, type TurnRooms } from './run-turn.ts';
import { createRunningTurns } from './running-turns.ts';
import { createSessionQueue, type Place, RETRY_AFTER_SECONDS } from './session-queue.ts';
import { rateLimited } from './token-charge.ts';

export interface TurnsOptions extends Omit<TurnRooms, 'defaultPlaces'> {
  memory: MemorySettings;
  /** For the turns of a client that may run at the same time. */
  slots: Slots;
  leases: Pick<Leases, 'milliseconds' | 'keep'>;
  /** Bound of a running turn's event log, in bytes. */
  logBytes: number;
  /** Messages that may wait for a session whose turn is running. */
  queueMax: number;
  /** What every turn runs in, and answers with its end; without it, turns run by themselves. */
  around?: ((turn: Turn, run: () => Promise<EndedTurn>) => Promise<EndedTurn>) | null;
}

export interface Turns {
  /**
   * Begins a turn as soon as the session is free, or finds the one that the request's key stands for. Resolves
   * when the turn is stored and running; rejects with an `AppError` if it could not begin.
   * @param signal gives up waiting for the session; without effect on a turn that has begun
   */
  start(request: TurnRequest, signal?: AbortSignal): Promise<StartedTurn>;
  /**
   * The events of a turn, running or over. Throws `session_not_found` and `turn_not_found`, and
   * `store_unavailable` for a turn whose end could not be stored yet.
   */
  find(owner: string, sessionId: string, turnId: string): Promise<LiveTurn>;
  /**
   * Ends a running turn with `turn_cancelled` and resolves with it as it was stored; a turn that is over stays as
   * it is. Throws as `find` does.
   */
  cancel(owner: string, sessionId: string, turnId: string): Promise<Turn>;
  /** How many turns run now. */
  running(): number;
  /** The session was deleted: its running turn has nobody left to answer. */
  abandon(sessionId: string): void;
  /**
   * Lets no more turns begin, waits for the running ones, and fails those that are not over in time with
   * `server_shutting_down`. Resolves when the last one is stored.
   */
  drain(graceMilliseconds: number): Promise<void>;
}

export interface StartedTurn {
  live: LiveTurn;
  /** Whether the key stood for the turn already. */
  replayed: boolean;
  /** How long it waited for the session to be free. */
  queuedMilliseconds: number;
}

const LINES = { queue: 'end', interrupt: 'front', reject: null } as const;

/** More calls than a model makes at once: 128 is what the largest providers allow. */
const CALLS_REACH = 128;

const NEVER = new AbortController().signal;

/** How often a turn that waits for those of other servers looks whether it may begin. */
const LOOK_AGAIN_MILLISECONDS = 100;

export function createTurns(options: TurnsOptions): Turns {
  const { memory, slots, leases, logBytes, queueMax, around, ...rooms } = options;
  const { store, targets } = rooms;
  const context = { ...rooms, defaultPlaces: memory.defaultPlaces };
  const queue = createSessionQueue(queueMax);
  const running = createRunningTurns();
  /** Everything between a request and the end of its turn. */
  const underWay = new Set<Promise<unknown>>();
  const closed = new AbortController();
  const shutdown = new AbortController();
  /** Nobody waits any more. */
  const refused = new AbortController();
  const outOfGrace = shutdown.signal;
  return { start, find, cancel, running: () => running.all().length, abandon, drain };

  async function start(request: TurnRequest, signal = NEVER): Promise<StartedTurn> {
    targets.check(request);
    checkMemoryLimit(request.memoryLimit, memory);
    const { owner, sessionId, key } = request;
    if (key === null) return begin(request, signal);
    const known = running.begunUnder({ owner, sessionId, key });
    if (known?.isSame === true) return join(known.begun, request, signal);
    if (known !== null) return giveWay(known.begun, request, signal);

    const started = begin(request, signal);
    const live = started.then((turn) => turn.live);
    const { forget } = running.remember({ owner, sessionId, key }, live);
    // Whoever asks again after the end asks the store, which knows whether it may run again.
    live.then(({ ended }) => ended.then(forget, forget), forget);
    return started;
  }

  async function join(
    begun: Promise<LiveTurn>,
    request: TurnRequest,
    signal: AbortSignal,
  ): Promise<StartedTurn> {
    const joinedAt = performance.now();
    try {
      const live = await begun;
      return { live, replayed: true, queuedMilliseconds: performance.now() - joinedAt };
    } catch (error) {
      // The first one to ask has left before its turn came. Who asked again, often the same client, has not.
      const hasLeft = error instanceof AppError && error.code === 'turn_cancelled';
      if (hasLeft && !signal.aborted) return start(request, signal);
      throw error;
    }
  }

  /** Another body has the key; on a shared store only if its turn begins: another server may have begun one with this. */
  async function giveWay(
    other: Promise<LiveTurn>,
    request: TurnRequest,
    signal: AbortSignal,
  ): Promise<StartedTurn> {
    const couldNotBegin = other.then(
      () => false,
      () => true,
    );
    if (store.isShared && (await couldNotBegin)) return start(request, signal);
    throw new AppError('idempotency_key_reused');
  }

  function begin(request: TurnRequest, signal: AbortSignal): Promise<StartedTurn> {
    const started = beginInTurn(request, signal);
    track(started);
    return started;
  }

  async function beginInTurn(request: TurnRequest, signal: AbortSignal): Promise<StartedTurn> {
    // What was done already is neither made to wait, nor does it interrupt anybody.
    const known = queue.isBusy(lineOf(request)) ? await doneBefore(request) : null;
    if (known !== null) return known;
    const queuedAt = performance.now();
    const place = await admit(request, signal);
    if (place === null) {
      const known = await doneBefore(request);
      if (known !== null) return known;
      throw rateLimited(RETRY_AFTER_SECONDS, 'concurrent_turns');
    }
    const turn = newTurn(request);
    try {
      const begun = await beginWhenFree(
        request,
        turn,
        AbortSignal.any([signal, place.signal, refused.signal]),
      );
      const queuedMilliseconds = performance.now() - queuedAt;
      if (begun.kind === 'begun') {
        return { live: run(request, turn, begun, place), replayed: false, queuedMilliseconds };
      }
      await place.leave();
      return { ...(await replayed(request, begun)), queuedMilliseconds };
    } catch (error) {
      await place.leave();
      throw error;
    }
  }

  /** Begins the turn, on a shared store as soon as those of other servers let it. */
  async function beginWhenFree(request: TurnRequest, turn: Turn, signal: AbortSignal): Promise<BeginOutcome> {
    const { owner, sessionId, onBusy } = request;
    let stands = false;
    try {
      for (;;) {
        turn.createdAt = Date.now();
        const outcome = await store.beginTurn(beginOf(request, turn));
        if (outcome.kind === 'begun') stands = false;
        if (outcome.kind !== 'busy' || !store.isShared || onBusy === 'reject') return outcome;
        stands = true;
        if (onBusy === 'interrupt' && outcome.turnId !== null) {
          await store.cancelTurn(owner, sessionId, outcome.turnId);
        }
        await pause(LOOK_AGAIN_MILLISECONDS, undefined, { signal }).catch(() => {
          throw signal.reason instanceof AppError ? signal.reason : new AppError('turn_cancelled');
        });
      }
    } finally {
      // Nobody behind it has to wait until its place lapses: it has given up, or its key's turn has begun elsewhere.
      if (stands) track(store.leaveLine(sessionId, turn.id));
    }
  }

  /** The turn that the request's key stands for already; null if it has none, or would begin one. */
  async function doneBefore(request: TurnRequest): Promise<StartedTurn | null> {
    if (request.key === null) return null;
    const known = await store.beginTurn({ ...beginOf(request, newTurn(request)), mayBegin: false });
    return known.kind === 'replay' || known.kind === 'key_reused' ? replayed(request, known) : null;
  }

  /** A place in the session that holds one of the client's slots as well; null if none is free. */
  async function admit(request: TurnRequest, signal: AbortSignal): Promise<AdmittedPlace | null> {
    const place = await enter(request, signal);
    return withSlot(place, slots, request.owner, request.allowance.concurrentTurns);
  }

  function enter(request: TurnRequest, signal: AbortSignal): Promise<Place> {
    const line = lineOf(request);
    if (request.onBusy === 'reject' && queue.isBusy(line)) {
      const turn = running.inSession(request.sessionId);
      // The line of a session that is somebody else's is no more than who else asks for it in vain.
      throw busy(turn?.owner === request.owner ? turn.live.id : null);
    }
    return queue.enter(line, request.onBusy, signal);
  }

  function run(
    request: TurnRequest,
    turn: Turn,
    begun: Extract<BeginOutcome, { kind: 'begun' }>,
    place: AdmittedPlace,
  ): LiveTurn {
    turn.parentId = begun.parentId;
    const { promise: ended, resolve, reject } = Promise.withResolvers<EndedTurn>();
    const log = createTurnLog(turn.id, logBytes, ended);
    const { owner, sessionId, key } = request;
    running.add({ owner, sessionId, key, live: log, cancel: place.cancel });
    const lease = leases.keep({ sessionId, turnId: turn.id, fence: begun.fence }, place.cancel);
    if (outOfGrace.aborted) place.cancel(outOfGrace.reason);
    log.append({ type: 'turn.started', turn });
    const runIt = () => runTurn({ ...begun, turn, request, log }, context, place.signal, closed.signal);
    const finish = async () => {
      try {
        return await (around ? around(turn, runIt) : runIt());
      } finally {
        // Before anybody is told: who then asks for the turn, or sends the next one anywhere, meets what is stored.
        running.remove(turn.id);
        lease.release();
        await place.leave();
      }
    };
    finish()
      .then((over) => {
        log.append(lastEvent(over));
        resolve(over);
      })
      .catch(reject);
    track(ended);
    return log;
  }

  /** The turn that the key stands for, or the error of a turn that could not begin. */
  async function replayed(
    { owner, sessionId }: TurnRequest,
    outcome: Exclude<BeginOutcome, { kind: 'begun' }>,
  ): Promise<StartedTurn> {
    if (outcome.kind !== 'replay') throw refusalOf(outcome);
    const live = await find(owner, sessionId, outcome.turn.id);
    return { live, replayed: true, queuedMilliseconds: 0 };
  }

  async function find(owner: string, sessionId: string, turnId: string): Promise<LiveTurn> {
    return (
      running.find(owner, sessionId, turnId)?.live ??
      findStored(store, owner, sessionId, turnId, closed.signal)
    );
  }

  async function cancel(owner: string, sessionId: string, turnId: string): Promise<Turn> {
    const here = running.find(owner, sessionId, turnId);
    if (here !== undefined) here.cancel(new AppError('turn_cancelled'));
    else await store.cancelTurn(owner, sessionId, turnId);
    const { ended } = await find(owner, sessionId, turnId);
    return (await ended).turn;
  }

  function abandon(sessionId: string): void {
    running.inSession(sessionId)?.cancel(new AppError('session_not_found'));
  }

  async function drain(graceMilliseconds: number): Promise<void> {
    const error = new AppError('server_shutting_down');
    queue.refuse(error);
    refused.abort(error);
    const timer = setTimeout(() => {
      shutdown.abort(error);
      for (const turn of running.all()) turn.cancel(error);
    }, graceMilliseconds);
    while (underWay.size > 0) await Promise.allSettled(underWay);
    clearTimeout(timer);
    closed.abort();
  }

  function track(work: Promise<unknown>): void {
    const settled = work.then(noop, noop);
    underWay.add(settled);
    void settled.then(() => underWay.delete(settled));
  }

  function beginOf(
    { owner, sessionId, parentTurnId, input, memoryLimit, key, onBusy }: TurnRequest,
    turn: Turn,
  ): TurnBegin {
    return {
      owner,
      sessionId,
      turnId: turn.id,
      parentTurnId,
      input,
      createdAt: turn.createdAt,
      reach: { places: memoryLimit, defaultPlaces: memory.defaultPlaces, taken: placesTaken(input) },
      key,
      mayBegin: true,
      leaseMilliseconds: leases.milliseconds,
      line: LINES[onBusy],
    };
  }
}

function noop(): void {}

/** A line of its own for every owner: nobody waits for, or interrupts, the turns of somebody else. */
function lineOf({ owner, sessionId }: TurnRequest): string {
  return JSON.stringify([owner, sessionId]);
}

/**
 * Places that the input takes of the path to be read. Results reach further back instead: their calls must be
 * found however small the window is.
 */
function placesTaken(input: readonly Item[]): number {
  return input.some((item) => item.type === 'function_call_output') ? -CALLS_REACH : countPlaces(input);
}

function newTurn(request: TurnRequest): Turn {
  return {
    id: newId(),
    sessionId: request.sessionId,
    parentId: null,
    status: 'in_progress',
    input: request.input,
    output: [],
    provider: null,
    model: null,
    providerSource: null,
    finishReason: null,
    attempts: [],
    usage: null,
    error: null,
    seenPlaces: 0,
    trace: null,
    createdAt: Date.now(),
    completedAt: null,
  };
}

function refusalOf(outcome: Exclude<BeginOutcome, { kind: 'begun' | 'replay' }>): AppError {
  switch (outcome.kind) {
    case 'key_reused':
      return new AppError('idempotency_key_reused');
    case 'busy':
      return busy(outcome.turnId);
    case 'missing':
      return new AppError(outcome.what === 'session' ? 'session_not_found' : 'turn_not_found');
    case 'unusable_parent':
      return new AppError('parent_not_usable');
  }
}

function busy(turnId: string | null): AppError {
  return new AppError('session_busy', turnId === null ? undefined : { turn_id: turnId });
}
