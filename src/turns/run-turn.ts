/**
 * The straight line of a turn that has begun: window, prompt, model, commit. It knows nothing of HTTP, of a
 * provider's wire, of fallback, or of who follows.
 */

import type { EndedTurn } from '../conversation/event.ts';
import type { Item, McpCallItem } from '../conversation/item.ts';
import type { Turn } from '../conversation/turn.ts';
import { type AppError, asAppError } from '../errors.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { RouteConditions, RoutedPrompt } from '../routing/route.ts';
import type { TargetSelection } from '../routing/targets.ts';
import { missingResults, turnsAnswered } from '../sessions/tool-calls.ts';
import { cutWindow, windowItems } from '../sessions/window.ts';
import { windowLimits } from '../sessions/window-limits.ts';
import type { BeginOutcome, PathTurn } from '../stores/store.ts';
import type { Toolboxes } from '../tools/toolbox.ts';
import { createAnswer } from './answer.ts';
import { commit, note, type TurnStore } from './commit.ts';
import { decidedCalls } from './decided-calls.ts';
import type { TurnInputs } from './inputs.ts';
import type { TurnLog } from './live-turn.ts';
import { takeSteps } from './model-steps.ts';
import { outcomeOf } from './outcome.ts';
import { callsMadeBefore, stillToDo } from './retried-calls.ts';
import { createShownEvents } from './shown-events.ts';
import { chargeTokens, checkTokens, NO_CHARGE } from './token-charge.ts';
import type { TurnRequest } from './turn-request.ts';

export interface TurnRooms {
  store: TurnStore;
  targets: TargetSelection;
  conditions: RouteConditions;
  /** Of the tokens that clients may use. */
  limiter: Limiter;
  /** The tools of sessions. */
  toolboxes: Pick<Toolboxes, 'open'>;
  /** How often a model may call them before it must answer without. */
  toolStepsMax: number;
  /** Places in the window of a session that sets no limit. */
  defaultPlaces: number;
  /** Told of every turn that is over, of what was behind its error, which no client is told, and of who asked. */
  observe(turn: Turn, cause: unknown, asked: Pick<TurnRequest, 'owner' | 'requestId'>): void;
}

/** A turn that the store has begun, under its fence. */
export interface BegunTurn extends Extract<BeginOutcome, { kind: 'begun' }> {
  turn: Turn;
  request: TurnRequest;
  log: TurnLog;
  /** What its tools ask the user. */
  inputs: TurnInputs;
}

/**
 * Runs a turn to its end and returns it as it was stored. A failure of any kind is the turn's end, not an
 * exception: it is stored with what the model had made, and the session stays as it was.
 * @param signal ends the turn early, with its reason as the turn's error
 * @param closed ends what goes on in the background after the turn
 */
export async function runTurn(
  begun: BegunTurn,
  rooms: TurnRooms,
  signal: AbortSignal,
  closed: AbortSignal,
): Promise<EndedTurn> {
  const { turn, request, log, session, path } = begun;
  const answer = createAnswer(turn.id);
  let seen: PathTurn[] = [];
  let charge = NO_CHARGE;
  let failure: AppError | null = null;
  let isOver = false;
  try {
    signal.throwIfAborted();
    const targets = rooms.targets.select(request, session);
    const places = request.memoryLimit ?? session.memoryLimit ?? rooms.defaultPlaces;
    const limits = await windowLimits(session, places, targets[0].model, request.input);
    const window = cutWindow(path, { ...limits, needed: turnsNeeded(path, request.input) });
    seen = window.turns;
    if (request.asksNobody !== true && missingResults(path, request.input) === 0) {
      const made = callsMadeBefore(begun.retries);
      const decided = stillToDo(decidedCalls(path[0]?.output ?? [], request.input), made);
      const toolbox = await rooms.toolboxes.open(
        request.tools?.choice ?? session.tools,
        signal,
        request.tools?.requireApproval,
      );
      const { options, stream, instructions: own = session.instructions } = request;
      const instructions = joined(own, toolbox.instructions);
      const promptWith = (made: readonly Item[]) => {
        const items = windowItems(window, request.input, made);
        return { instructions, items, options, stream, ...(made.length > 0 ? {} : wordsOf(request)) };
      };
      const prompt = promptWith([]);
      charge = await chargeTokens(rooms.limiter, request, prompt, targets[0].model);
      const { conditions, toolStepsMax: stepsMax } = rooms;
      const noteCalls = (calls: readonly McpCallItem[]) => note(rooms.store, begun, calls);
      const model = { targets, prompt, promptWith, conditions };
      const asks = { inputs: begun.inputs, checkTokens: () => checkTokens(rooms.limiter, request) };
      const tools = { toolbox, made, decided, stepsMax, noteCalls, ...asks };
      const shownAs = createShownEvents(answer);
      await takeSteps({ ...model, ...tools }, answer, signal, (event) => {
        // A call that was ended may have something to say after its turn has no ears for it.
        if (isOver) return;
        answer.add(event);
        log.note(event);
        const shown = shownAs(event);
        if (shown !== null) log.append(shown);
      });
    }
  } catch (error) {
    failure = asAppError(error);
  }
  isOver = true;
  const { asked } = request;
  const made = { ...outcomeOf(answer, seen, failure), ...(asked === undefined ? {} : { asked }) };
  const outcome = await commit(rooms.store, begun, made, closed);
  await charge.settle(outcome);
  const ended: EndedTurn = { turn: { ...turn, ...outcome }, seen };
  rooms.observe(ended.turn, failure?.cause, request);
  return ended;
}

/** What stands before everything else; null if there is nothing. */
function joined(one: string | null, other: string | null): string | null {
  return one === null || other === null ? (one ?? other) : `${one}\n\n${other}`;
}

/** How many of the newest turns the model must see, whatever they take: the input goes on from what they left. */
function turnsNeeded(path: readonly PathTurn[], input: readonly Item[]): number {
  const isDecision = input.some(({ type }) => type === 'mcp_approval_response');
  return Math.max(isDecision ? 1 : 0, turnsAnswered(path, input));
}

/** What is passed between caller and provider in their own words, where they speak the same. */
function wordsOf({ messages, takesFrames }: TurnRequest): Pick<RoutedPrompt, 'messages' | 'takesFrames'> {
  return {
    ...(messages === undefined ? {} : { messages }),
    ...(takesFrames === undefined ? {} : { takesFrames }),
  };
}
