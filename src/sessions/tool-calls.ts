/** Tool calls and their results: providers refuse a prompt in which one stands without the other. */

import type { FunctionCallItem, FunctionCallOutputItem, Item, PromptItem } from '../conversation/item.ts';
import { AppError } from '../errors.ts';
import type { PathTurn } from '../stores/store.ts';

/** What the model reads where the caller went on without answering a call. */
const NO_RESULT = 'No result was given for this call.';

/** The calls among the items that have no result yet, oldest first. */
function pendingCalls(items: readonly Item[]): FunctionCallItem[] {
  const pending = new Map<string, FunctionCallItem>();
  for (const item of items) {
    if (item.type === 'function_call') pending.set(item.call_id, item);
    else if (item.type === 'function_call_output') pending.delete(item.call_id);
  }
  return [...pending.values()];
}

/**
 * How many of the newest turns reach back to every call that the input answers; 0 for input without results.
 * Throws `tool_call_not_found` if it answers something that is not an unanswered call of the path.
 * @param path newest first
 */
export function turnsAnswered(path: readonly PathTurn[], input: readonly Item[]): number {
  const answered = answeredBefore(input);
  if (answered.length === 0) return 0;
  const pending = new Set(pendingCalls(pathItems(path)).map((call) => call.call_id));
  const wrong = answered.find((callId) => !pending.delete(callId));
  if (wrong !== undefined) throw new AppError('tool_call_not_found', { tool_call_id: wrong });
  const makesAnswered = (turn: PathTurn) =>
    turn.output.some((item) => item.type === 'function_call' && answered.includes(item.call_id));
  return path.findLastIndex(makesAnswered) + 1;
}

/**
 * How many calls the model still waits for after input that answers some; it can go on when there are none.
 * Input without results goes on in any case: the caller has given up the calls.
 */
export function missingResults(path: readonly PathTurn[], input: readonly Item[]): number {
  if (answeredBefore(input).length === 0) return 0;
  return pendingCalls([...pathItems(path), ...input]).length;
}

/** The calls that the input has results of and does not hold itself, by their ids. */
function answeredBefore(input: readonly Item[]): string[] {
  const called = new Set(input.flatMap((item) => (item.type === 'function_call' ? [item.call_id] : [])));
  const answered = input.flatMap((item) => (item.type === 'function_call_output' ? [item.call_id] : []));
  return answered.filter((callId) => !called.has(callId));
}

/** The items without results whose call comes not before them. */
export function dropOrphans(items: readonly PromptItem[]): PromptItem[] {
  const called = new Set<string>();
  return items.filter((item) => {
    if (item.type === 'function_call') called.add(item.call_id);
    return item.type !== 'function_call_output' || called.has(item.call_id);
  });
}

/**
 * The items as a model reads them: every call that a turn has run itself as a call and its result, those that the model
 * asked for at once before the results of all of them.
 */
export function asPromptItems(items: readonly Item[]): PromptItem[] {
  const shown: PromptItem[] = [];
  let results: FunctionCallOutputItem[] = [];
  let step: number | null = null;
  for (const item of items) {
    // A model is shown calls with their results alone: one that nobody has decided about was never made.
    if (item.type === 'mcp_approval_request' || item.type === 'mcp_approval_response') continue;
    const isOfStep =
      item.type === 'function_call' || (item.type === 'mcp_call' && (step ?? item.step) === item.step);
    if (!isOfStep) {
      shown.push(...results);
      results = [];
      step = null;
    }
    if (item.type !== 'mcp_call') {
      shown.push(item);
      continue;
    }
    step = item.step;
    const { id, call_id, function_name: name, arguments: args } = item;
    shown.push({ type: 'function_call', id, call_id, name, arguments: args, status: 'completed' });
    const output = item.output ?? item.error ?? NO_RESULT;
    results.push({ type: 'function_call_output', id: `${id}_output`, call_id, output, status: 'completed' });
  }
  return [...shown, ...results];
}

/** The items with a result after every call: calls that were never answered get one that says so. */
export function closeCalls(items: readonly PromptItem[]): PromptItem[] {
  const pending = pendingCalls(items);
  if (pending.length === 0) return [...items];
  const unanswered = new Set(pending);
  const closed: PromptItem[] = [];
  let waiting: FunctionCallOutputItem[] = [];
  for (const item of items) {
    // Calls of one answer stand together; their results follow the last of them.
    if (item.type !== 'function_call') {
      closed.push(...waiting);
      waiting = [];
    }
    closed.push(item);
    if (item.type === 'function_call' && unanswered.has(item)) waiting.push(noResult(item));
  }
  return [...closed, ...waiting];
}

function pathItems(newestFirst: readonly PathTurn[]): Item[] {
  return newestFirst.toReversed().flatMap((turn) => [...turn.input, ...turn.output]);
}

function noResult(call: FunctionCallItem): FunctionCallOutputItem {
  return {
    type: 'function_call_output',
    id: `fco_${call.call_id}`,
    call_id: call.call_id,
    output: NO_RESULT,
    status: 'completed',
  };
}
