/** Turns as the doors start them: one at a time per session, run to their end whatever becomes of the caller. */

import type { EndedTurn } from '../conversation/event.ts';
import { newId } from '../conversation/id.ts';
import { NO_SESSION } from '../conversation/session.ts';
import { lastEvent } from '../conversation/traced-events.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Slots } from '../limits/slots.ts';
import type { Exchange, TurnName } from '../replicas/exchange.ts';
import { checkMemoryLimit, type MemorySettings } from '../sessions/sessions.ts';
import type { BeginOutcome, Store } from '../stores/store.ts';
import type { ElicitationAnswer } from '../tools/tool-source.ts';
import { createBeginTurn } from './begin-turn.ts';
import { createDistantInputs } from './distant-inputs.ts';
import { findElsewhere, storedTurn } from './ended-turns.ts';
import { type Begun, type Entrance, type Place, sessionBusy } from './entrance.ts';
import { createTurnInputs } from './inputs.ts';
import type { Leases } from './leases.ts';
import { createTurnLog, type LiveTurn } from './live-turn.ts';
import { createOwnEntrance } from './own-entrance.ts';
import { createRelays } from './relays.ts';
import { runTurn, type TurnRooms } from './run-turn.ts';
import { createRunningTurns } from './running-turns.ts';
import { createSessionWatch } from './session-watch.ts';
import { createSharedEntrance } from './shared-entrance.ts';
import type { TurnRequest, UnstoredRequest } from './turn-request.ts';
import { createUnstoredEntrance, NOWHERE } from './unstored.ts';

export interface TurnsOptions extends Omit<TurnRooms, 'defaultPlaces' | 'store'> {
  store: Store;
  memory: MemorySettings;
  /** For the turns of a client that may run at the same time. */
  slots: Slots;
  leases: Pick<Leases, 'milliseconds' | 'keep' | 'stand'>;
  /** With the servers that share the store. */
  exchange: Exchange;
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
   * Begins a turn in no session, of which nothing is kept: its whole conversation is the request's. It is found by
   * `find` and `cancel`, under `NO_SESSION`, while it runs. Rejects as `start` does.
   */
  startUnstored(request: UnstoredRequest): Promise<StartedTurn>;
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
  /**
   * Answers what a tool of a running turn asks the user. Throws as `find` does; `input_not_found` if it is not asked at the
   * moment, `invalid_request` if it does not fit, `turn_not_reached` if the server that runs the turn could not be told.
   */
  answerInput(turn: TurnName, requestId: string, answer: ElicitationAnswer): Promise<void>;
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

const NEVER = new AbortController().signal;

/** How a turn comes to run, what it runs on, and what keeps it its session. */
interface Way {
  entrance: Entrance;
  rooms: TurnRooms;
  keep: Leases['keep'];
}

export function createTurns(options: TurnsOptions): Turns {
  const { memory, slots, leases, exchange, logBytes, queueMax, around, ...rooms } = options;
  const { store, targets } = rooms;
  const watch = createSessionWatch(exchange);
  const running = createRunningTurns();
  /** Everything between a request and the end of its turn. */
  const underWay = new Set<Promise<unknown>>();
  const closed = new AbortController();
  const shutdown = new AbortController();
  const context = { ...rooms, defaultPlaces: memory.defaultPlaces };
  const stored: Way = { entrance: createEntrance(), rooms: context, keep: leases.keep };
  const unstored: Way = {
    entrance: createUnstoredEntrance(slots),
    rooms: { ...context, store: NOWHERE },
    keep: () => ({ release: () => undefined }),
  };
  const outOfGrace = shutdown.signal;
  createRelays({
    exchange,
    find: ({ owner, sessionId, turnId }) => running.find(owner, sessionId, turnId)?.live,
  });
  exchange.listen((notice) => {
    if (notice.kind === 'cancel') endHere(notice.turn);
    else if (notice.kind === 'deleted') abandonHere(notice.sessionId);
  });
  const answerElsewhere = createDistantInputs({
    exchange,
    find: ({ owner, sessionId, turnId }) => running.find(owner, sessionId, turnId)?.inputs,
  });
  return {
    start,
    startUnstored,
    find,
    cancel,
    answerInput,
    running: () => running.all().length,
    abandon,
    drain,
  };

  async function start(request: TurnRequest, signal = NEVER): Promise<StartedTurn> {
    targets.check(request);
    checkMemoryLimit(request.memoryLimit, memory);
    const { owner, sessionId, key } = request;
    if (key === null) return begin(request, stored, signal);
    const known = key.takesOver ? null : running.begunUnder({ owner, sessionId, key });
    if (known?.isSame === true) return join(known.begun, request, signal);
    if (known !== null) return giveWay(known.begun, request, signal);

    const started = begin(request, stored, signal);
    const live = started.then((turn) => turn.live);
    const { forget } = running.remember({ owner, sessionId, key }, live);
    // Whoever asks again after the end asks the store, which knows whether it may run again.
    live.then(({ ended }) => ended.then(forget, forget), forget);
    return started;
  }

  async function startUnstored(request: UnstoredRequest): Promise<StartedTurn> {
    targets.check(request);
    const nowhere = { sessionId: NO_SESSION, parentTurnId: null, onBusy: 'queue', key: null } as const;
    return begin({ ...request, ...nowhere }, unstored, NEVER);
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

  function begin(request: TurnRequest, way: Way, signal: AbortSignal): Promise<StartedTurn> {
    const started = beginInTurn(request, way, signal);
    track(started);
    return started;
  }

  async function beginInTurn(request: TurnRequest, way: Way, signal: AbortSignal): Promise<StartedTurn> {
    const askedAt = performance.now();
    const turn = newTurn(request);
    const { outcome, place } = await way.entrance.enter(request, turn, signal);
    const queuedMilliseconds = performance.now() - askedAt;
    if (place === null) return { ...(await replayed(request, outcome)), queuedMilliseconds };
    return { live: run(way, request, turn, outcome, place), replayed: false, queuedMilliseconds };
  }

  function createEntrance(): Entrance {
    const begin = createBeginTurn({
      store,
      slots,
      defaultPlaces: memory.defaultPlaces,
      leaseMilliseconds: leases.milliseconds,
    });
    if (store.isShared) return createSharedEntrance({ begin, store, leases, watch, queueMax, endEarly });
    return createOwnEntrance({
      begin,
      queueMax,
      runningTurn(owner, sessionId) {
        const turn = running.inSession(sessionId);
        return turn?.owner === owner ? turn.live.id : null;
      },
    });
  }

  function run(way: Way, request: TurnRequest, turn: Turn, begun: Begun, place: Place): LiveTurn {
    turn.parentId = begun.parentId;
    const { promise: ended, resolve, reject } = Promise.withResolvers<EndedTurn>();
    const log = createTurnLog(turn.id, logBytes, ended);
    const { owner, sessionId, key } = request;
    const inputs = createTurnInputs(request.elicitation ?? false);
    running.add({ owner, sessionId, key, live: log, inputs, cancel: place.cancel });
    const lease = way.keep({ sessionId, turnId: turn.id, fence: begun.fence }, place.cancel);
    if (outOfGrace.aborted) place.cancel(outOfGrace.reason);
    log.append({ type: 'turn.started', turn });
    const runIt = () =>
      runTurn({ ...begun, turn, request, log, inputs }, way.rooms, place.signal, closed.signal);
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
  ): Promise<Pick<StartedTurn, 'live' | 'replayed'>> {
    if (outcome.kind !== 'replay') throw refusalOf(outcome);
    const live = await find(owner, sessionId, outcome.turn.id);
    return { live, replayed: true };
  }

  async function find(owner: string, sessionId: string, turnId: string): Promise<LiveTurn> {
    return (
      running.find(owner, sessionId, turnId)?.live ??
      findElsewhere({ owner, sessionId, turnId }, { store, exchange, watch, closed: closed.signal })
    );
  }

  async function cancel(owner: string, sessionId: string, turnId: string): Promise<Turn> {
    await endEarly({ owner, sessionId, turnId });
    const { ended } = await find(owner, sessionId, turnId);
    return (await ended).turn;
  }

  async function answerInput(turn: TurnName, requestId: string, answer: ElicitationAnswer): Promise<void> {
    const { owner, sessionId, turnId } = turn;
    const here = running.find(owner, sessionId, turnId);
    if (here !== undefined) return here.inputs.answer(requestId, answer);
    const { status } = await storedTurn(turn, store);
    if (status !== 'in_progress') throw new AppError('input_not_found');
    await answerElsewhere(turn, requestId, answer);
  }

  /** Wherever it runs; nothing happens if it does not. */
  async function endEarly(turn: TurnName): Promise<void> {
    if (endHere(turn)) return;
    await store.cancelTurn(turn.owner, turn.sessionId, turn.turnId);
    exchange.tell({ kind: 'cancel', turn });
  }

  /** Whether it runs here. */
  function endHere({ owner, sessionId, turnId }: TurnName): boolean {
    const here = running.find(owner, sessionId, turnId);
    here?.cancel(new AppError('turn_cancelled'));
    return here !== undefined;
  }

  function abandon(sessionId: string): void {
    exchange.tell({ kind: 'deleted', sessionId });
    abandonHere(sessionId);
  }

  function abandonHere(sessionId: string): void {
    running.inSession(sessionId)?.cancel(new AppError('session_not_found'));
  }

  async function drain(graceMilliseconds: number): Promise<void> {
    const error = new AppError('server_shutting_down');
    stored.entrance.refuse(error);
    unstored.entrance.refuse(error);
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
}

function noop(): void {}

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
    ...(request.asked === undefined ? {} : { asked: request.asked }),
    createdAt: Date.now(),
    completedAt: null,
  };
}

function refusalOf(outcome: Exclude<BeginOutcome, { kind: 'begun' | 'replay' }>): AppError {
  switch (outcome.kind) {
    case 'key_reused':
      return new AppError('idempotency_key_reused');
    case 'busy':
      return sessionBusy(outcome.turnId);
    case 'missing':
      return new AppError(outcome.what === 'session' ? 'session_not_found' : 'turn_not_found');
    case 'unusable_parent':
      return new AppError('parent_not_usable');
  }
}
