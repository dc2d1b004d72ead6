/**
 * The steps of a turn: the model is asked, the tools that it calls are run, and it is asked again with their results,
 * until it answers. What a target is, and how tools are run, is for others.
 */

import type { Item, McpCallItem } from '../conversation/item.ts';
import { servedBy } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import { type RouteConditions, type RoutedPrompt, type RouteEvent, route } from '../routing/route.ts';
import type { Targets } from '../routing/target.ts';
import type { Toolbox } from '../tools/toolbox.ts';
import type { Answer } from './answer.ts';
import { createCallContexts } from './call-contexts.ts';
import type { DecidedCall } from './decided-calls.ts';
import type { TurnInputs } from './inputs.ts';
import {
  type AskedCall,
  approvalRequest,
  approvedCall,
  askedCall,
  asRunning,
  type CallEvent,
  deniedCall,
  runCalls,
} from './run-calls.ts';

export interface ModelSteps {
  targets: Targets;
  toolbox: Toolbox;
  /** Calls that the same turn had made when it was tried before: they are not made again. */
  made: readonly McpCallItem[];
  /** Calls of the turn before that somebody has decided about: they come first. */
  decided: readonly DecidedCall[];
  /** What the model is asked first. */
  prompt: RoutedPrompt;
  /** The same, with what the turn has come to so far. */
  promptWith(made: readonly Item[]): RoutedPrompt;
  conditions: RouteConditions;
  /** How often the model may call tools before it must answer without. */
  stepsMax: number;
  /** Stores the calls that there are, before any of them is made. */
  noteCalls(calls: readonly McpCallItem[]): Promise<void>;
  /** What tools ask the user. */
  inputs: TurnInputs;
  /** Throws if the client has no tokens left for what tools ask a model. */
  checkTokens(): Promise<void>;
}

/**
 * Resolves when the model has answered, or waits for calls that the caller is to run. Throws as `route` does, and the
 * signal's reason when it aborts.
 * @param answer knows of every event already when `tell` is called with it
 */
export async function takeSteps(
  model: ModelSteps,
  answer: Answer,
  signal: AbortSignal,
  tell: (event: RouteEvent | CallEvent) => void,
): Promise<void> {
  const { toolbox, made, decided, prompt, promptWith, conditions, stepsMax, noteCalls } = model;
  const endsAt = performance.now() + conditions.turnMilliseconds;
  const conditionsNow = () => ({
    ...conditions,
    turnMilliseconds: Math.max(0, endsAt - performance.now()),
  });
  let asked: Targets = model.targets;
  let next = prompt;
  const { inputs, checkTokens } = model;
  const now = { targets: () => asked, conditions: conditionsNow };
  const contextOf = createCallContexts({ inputs, checkTokens, stream: prompt.stream, ...now, signal, tell });
  for (const call of made) tellOver(call, tell);
  await makeCalls(decidedCallsOf(decided, toolbox, tell));
  if (answer.calls().length > 0) goOn();
  for (let step = stepAfter(made); ; step += 1) {
    signal.throwIfAborted();
    const calls: AskedCall[] = [];
    /** Whether others have to do something before the model can go on. */
    let waits = false;
    const given = withTools(next, toolbox, step, stepsMax);
    await route(asked, given, conditionsNow(), signal, (event) => {
      const tool = event.type === 'tool-call' ? toolbox.find(event.name) : undefined;
      if (event.type !== 'tool-call' || tool === undefined) {
        waits ||= event.type === 'tool-call';
        return tell(event);
      }
      const call = askedCall(tool, event, step);
      if (tool.needsApproval) {
        waits = true;
        return tell({ type: 'approval-asked', request: approvalRequest(call) });
      }
      calls.push(call);
      tell({ type: 'call-asked', call: call.item });
    });
    if (calls.length === 0) return;
    if (step > stepsMax) throw new AppError('tool_steps_exceeded', { tool_steps_max: stepsMax });
    await makeCalls(calls);
    if (waits) return;
    goOn();
    asked = firstAgain(asked, answer);
  }

  async function makeCalls(calls: readonly AskedCall[]): Promise<void> {
    if (calls.length === 0) return;
    const ids = new Set(calls.map(({ item }) => item.id));
    await noteCalls(answer.calls().map((item) => (ids.has(item.id) ? asRunning(item) : item)));
    await inTime(endsAt, signal, (until) => runCalls(calls, until, tell, contextOf));
  }

  function goOn(): void {
    answer.nextStep();
    next = promptWith(answer.items('completed'));
  }
}

/** Tells of a call that nobody makes now, for what came of it is known. */
function tellOver(call: McpCallItem, tell: (event: CallEvent) => void): void {
  for (const type of ['call-asked', 'call-started', 'call-ended'] as const) tell({ type, call });
}

function stepAfter(made: readonly McpCallItem[]): number {
  return Math.max(0, ...made.map(({ step }) => step)) + 1;
}

/** The calls that were approved; tells of all. */
function decidedCallsOf(
  decided: readonly DecidedCall[],
  { find }: Toolbox,
  tell: (event: CallEvent) => void,
): AskedCall[] {
  const approved: AskedCall[] = [];
  for (const { request, response } of decided) {
    const call = approvedCall(request, find);
    if (response.approve) {
      approved.push(call);
      tell({ type: 'call-asked', call: call.item });
    } else tellOver(deniedCall(call, response), tell);
  }
  return approved;
}

/** The target that has answered goes on: what it was told is in its cache, and its calls are its own. */
function firstAgain(targets: Targets, answer: Answer): Targets {
  const last = servedBy({ attempts: answer.attempts() });
  const target = targets.find(
    ({ provider, model }) => provider.name === last?.provider && model === last.model,
  );
  return target === undefined ? targets : [target, ...targets.filter((other) => other !== target)];
}

/** The caller's own tools stay beside those of the server. */
function withTools(
  prompt: RoutedPrompt,
  { functions }: Toolbox,
  step: number,
  stepsMax: number,
): RoutedPrompt {
  if (functions.length === 0) return prompt;
  const { tools, tool_choice: choice, ...options } = prompt.options;
  const own = Array.isArray(tools) ? tools : [];
  const given = { ...options, tools: [...own, ...functions] };
  if (step > stepsMax) return { ...prompt, options: { ...given, tool_choice: 'none' } };
  // A choice that was forced once would be forced for ever.
  return { ...prompt, options: choice === undefined || step > 1 ? given : { ...given, tool_choice: choice } };
}

/** The time for a turn is that for its tools as well. */
async function inTime(
  endsAt: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const clock = new AbortController();
  const ends = () => clock.abort(new AppError('provider_timeout', { clock: 'turn' }));
  const timer = setTimeout(ends, Math.max(0, endsAt - performance.now()));
  try {
    await run(AbortSignal.any([signal, clock.signal]));
  } finally {
    clearTimeout(timer);
  }
}
