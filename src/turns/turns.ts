/** Turns as the doors start them: one at a time per session, run to their end whatever becomes of the caller. */

import type { EndedTurn } from '../conversation/event.ts';
import { newId } from '../conversation/id.ts';
import { countPlaces, type Item } from '../conversation/item.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import { checkMemoryLimit, type MemorySettings } from '../sessions/sessions.ts';
import type { BeginOutcome } from '../stores/store.ts';
import { createLiveTurn, type LiveTurn } from './live-turn.ts';
import { runTurn, type TurnRequest, type TurnRooms } from './run-turn.ts';
import { createSessionQueue } from './session-queue.ts';

export interface TurnsOptions extends Omit<TurnRooms, 'defaultPlaces'> {
  memory: MemorySettings;
  /** Bound of a running turn's event log, in bytes. */
  logBytes: number;
  /** Messages that may wait for a session whose turn is running. */
  queueMax: number;
}

export interface Turns {
  /**
   * Begins a turn as soon as the session is free. Resolves when the turn is stored and running; rejects with an
   * `AppError` if it could not begin.
   */
  start(request: TurnRequest): Promise<LiveTurn>;
  /**
   * Lets no more turns begin, waits for the running ones, and fails those that are not over in time with
   * `server_shutting_down`. Resolves when the last one is stored.
   */
  drain(graceMilliseconds: number): Promise<void>;
}

/** More calls than a model makes at once: 128 is what the largest providers allow. */
const CALLS_REACH = 128;

export function createTurns({ memory, logBytes, queueMax, ...rooms }: TurnsOptions): Turns {
  const { store, targets } = rooms;
  const queue = createSessionQueue(queueMax);
  const running = new Set<Promise<EndedTurn>>();
  const shutdown = new AbortController();
  let draining = false;
  return { start, drain };

  async function start(request: TurnRequest): Promise<LiveTurn> {
    targets.check(request);
    checkMemoryLimit(request.memoryLimit, memory);
    const leave = await queue.enter(request.sessionId);
    if (draining) {
      leave();
      throw new AppError('server_shutting_down');
    }
    const live = begin(request);
    const over = live
      .then(({ ended }) => ended)
      .finally(() => {
        running.delete(over);
        leave();
      });
    running.add(over);
    // Who started the turn hears of its failure to begin, and who follows it of everything else.
    over.catch(() => undefined);
    return live;
  }

  async function begin(request: TurnRequest): Promise<LiveTurn> {
    const turn = newTurn(request);
    const { owner, sessionId, input, memoryLimit: places } = request;
    const reach = { places, defaultPlaces: memory.defaultPlaces, taken: placesTaken(input) };
    const { createdAt } = turn;
    const begun = accepted(
      await store.beginTurn({
        owner,
        sessionId,
        turnId: turn.id,
        parentTurnId: undefined,
        input,
        createdAt,
        reach,
      }),
    );
    turn.parentId = begun.parentId;

    const { promise: ended, resolve, reject } = Promise.withResolvers<EndedTurn>();
    const live = createLiveTurn(turn.id, logBytes, ended);
    live.append({ type: 'turn.started', turn });
    const context = { ...rooms, defaultPlaces: memory.defaultPlaces };
    runTurn({ ...begun, turn, request, live }, context, shutdown.signal).then(resolve, reject);
    return live;
  }

  async function drain(graceMilliseconds: number): Promise<void> {
    draining = true;
    const fail = () => shutdown.abort(new AppError('server_shutting_down'));
    const timer = setTimeout(fail, graceMilliseconds);
    while (running.size > 0) await Promise.allSettled(running);
    clearTimeout(timer);
    fail();
  }
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
    createdAt: Date.now(),
    completedAt: null,
  };
}

function accepted(outcome: BeginOutcome): Extract<BeginOutcome, { kind: 'begun' }> {
  switch (outcome.kind) {
    case 'begun':
      return outcome;
    case 'busy':
      throw new AppError('session_busy', { turn_id: outcome.turnId });
    case 'missing':
      throw new AppError(outcome.what === 'session' ? 'session_not_found' : 'turn_not_found');
    case 'unusable_parent':
      throw new AppError('parent_not_usable');
  }
}
