/** Runs the calls that a model has asked for at once, side by side, and tells of what becomes of each. */

import { newItemId } from '../conversation/id.ts';
import type { ApprovalRequestItem, ApprovalResponseItem, McpCallItem } from '../conversation/item.ts';
import type { InputAction, InputAsked, ToolProgress } from '../conversation/trace.ts';
import type { Attempt } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import { AppError } from '../errors.ts';
import { type CallContext, type ToolResult, ToolSourceError } from '../tools/tool-source.ts';
import type { OfferedTool } from '../tools/toolbox.ts';

export type CallEvent =
  /** The model has asked for it, and somebody has to approve it. */
  | { type: 'approval-asked'; request: ApprovalRequestItem }
  /** The model has asked for it. */
  | { type: 'call-asked'; call: McpCallItem }
  | { type: 'call-started'; call: McpCallItem }
  | { type: 'call-progress'; call: McpCallItem; progress: ToolProgress }
  /** The tool asks the user something. */
  | { type: 'input-asked'; call: McpCallItem; asked: InputAsked }
  | { type: 'input-given'; call: McpCallItem; requestId: string; action: InputAction }
  /** The tool has had a model asked. */
  | { type: 'sampled'; attempts: readonly Attempt[]; usage: Usage | null }
  /** With what came of it. */
  | { type: 'call-ended'; call: McpCallItem };

/** A call that is to be run. */
export interface AskedCall {
  item: McpCallItem;
  tool: OfferedTool;
}

/** More reports of one call are no news to anybody. */
const PROGRESS_MAX = 100;

/** The model asked for them in the turn before: they are none of those that it asks for in this one. */
export const BEFORE_THE_FIRST_STEP = 0;

const NOT_MADE = 'The turn was ended before the call was made.';
const ENDED_BEFORE = 'The turn was ended before there was a result. It may have been done all the same.';

/** The call as the model has asked for it. @param step of the turn's, in which it did */
export function askedCall(
  tool: OfferedTool,
  asked: { callId: string; name: string; arguments: string },
  step: number,
): AskedCall {
  const item: McpCallItem = {
    type: 'mcp_call',
    id: newItemId('mcp'),
    call_id: asked.callId,
    server_label: tool.server,
    name: tool.name,
    function_name: asked.name,
    arguments: asked.arguments,
    ...failed(NOT_MADE),
    duration_ms: 0,
    step,
  };
  return { item, tool };
}

/** The call while it runs, and for ever if nobody hears of its end: whether it was done is not known. */
export function asRunning(item: McpCallItem): McpCallItem {
  return { ...item, ...UNKNOWN };
}

/** False for a call that the model has asked for, and that was certainly not made. */
export function mayHaveBeenMade({ error }: McpCallItem): boolean {
  return error !== NOT_MADE;
}

/** What somebody is asked to approve. */
export function approvalRequest({ item }: AskedCall): ApprovalRequestItem {
  const { call_id, server_label, name, function_name, arguments: args, step } = item;
  const id = newItemId('mcpr');
  return {
    type: 'mcp_approval_request',
    id,
    call_id,
    server_label,
    name,
    function_name,
    arguments: args,
    step,
  };
}

/** The call that was to be approved, run under its own name if the tool is still offered. */
export function approvedCall(
  request: ApprovalRequestItem,
  find: (name: string) => OfferedTool | undefined,
): AskedCall {
  const { server_label: server, name, function_name, call_id: callId, arguments: args } = request;
  const gone: OfferedTool = {
    server,
    name,
    needsApproval: true,
    call: () => Promise.reject(new ToolSourceError('not_offered', { source: server })),
  };
  return askedCall(
    find(function_name) ?? gone,
    { callId, name: function_name, arguments: args },
    BEFORE_THE_FIRST_STEP,
  );
}

/** The call as it ends where somebody does not want it. */
export function deniedCall({ item }: AskedCall, { reason }: ApprovalResponseItem): McpCallItem {
  const because = reason === null ? '' : ` ${reason}`;
  return { ...item, ...failed(`The call was not approved, and not made.${because}`) };
}

/**
 * Resolves when all calls are over, whatever became of them: a call that failed is something for the model to read. Throws
 * the signal's reason if it aborts, which ends them.
 * @param contextOf answers what servers ask in the course of a call
 */
export async function runCalls(
  calls: readonly AskedCall[],
  signal: AbortSignal,
  tell: (event: CallEvent) => void,
  contextOf: (call: McpCallItem) => CallContext,
): Promise<void> {
  await Promise.all(calls.map((call) => runCall(call, signal, tell, contextOf(call.item))));
  signal.throwIfAborted();
}

async function runCall(
  { item, tool }: AskedCall,
  signal: AbortSignal,
  tell: (event: CallEvent) => void,
  context: CallContext,
): Promise<void> {
  const startedAt = performance.now();
  tell({ type: 'call-started', call: asRunning(item) });
  const done = await outcomeOf({ item, tool }, signal, tell, context);
  tell({
    type: 'call-ended',
    call: { ...item, ...done, duration_ms: Math.round(performance.now() - startedAt) },
  });
}

type CallOutcome = Pick<McpCallItem, 'status' | 'output' | 'error' | 'content' | 'structured_content'>;

async function outcomeOf(
  { item, tool }: AskedCall,
  signal: AbortSignal,
  tell: (event: CallEvent) => void,
  context: CallContext,
): Promise<CallOutcome> {
  const args = argumentsOf(item.arguments);
  if (args === null) return failed('The arguments are not a JSON object.');
  let reports = 0;
  try {
    const onProgress = (progress: ToolProgress) => {
      reports += 1;
      if (reports <= PROGRESS_MAX) tell({ type: 'call-progress', call: item, progress });
    };
    return resultOf(await tool.call(args, { signal, onProgress, context }));
  } catch (error) {
    if (error instanceof ToolSourceError) return { ...failed(whyNot(error)), ...unknownIf(error) };
    if (signal.aborted) return UNKNOWN;
    throw new AppError('internal_error', undefined, { cause: error });
  }
}

function resultOf({ text, isError, content, structured }: ToolResult): CallOutcome {
  const isMore = content.some(({ type }) => type !== 'text');
  return {
    ...(isError ? failed(text) : { output: text, error: null, status: 'completed' }),
    ...(isMore ? { content } : {}),
    ...(structured === undefined ? {} : { structured_content: structured }),
  };
}

const UNKNOWN: CallOutcome = { output: null, error: ENDED_BEFORE, status: 'incomplete' };

function failed(error: string): CallOutcome {
  return { output: null, error, status: 'failed' };
}

/** Nobody knows whether the tool has done it. */
function unknownIf({ mayHaveRun }: ToolSourceError): Partial<CallOutcome> {
  return mayHaveRun ? { status: 'incomplete' } : {};
}

/** For the model, which may try something else. */
function whyNot({ kind, mayHaveRun, serverMessage }: ToolSourceError): string {
  const asked = mayHaveRun ? ' It may have been done all the same.' : ' It was not done.';
  const said =
    kind === 'refused' && serverMessage !== undefined ? ` The tool's server says: ${serverMessage}` : '';
  return `${REASONS[kind]}${asked}${said}`;
}

const REASONS: Record<ToolSourceError['kind'], string> = {
  unavailable: "The tool's server cannot be reached.",
  unauthorized: "The tool's server does not allow it.",
  not_offered: 'There is no such tool.',
  timeout: 'The tool took too long.',
  cancelled: 'The call was cancelled.',
  refused: "The tool's server refused the call.",
  bad_answer: "The tool's server gave no usable answer.",
  interrupted: "The connection to the tool's server broke.",
};

/** Null for what is no JSON object; a model that has no arguments to give may give nothing. */
function argumentsOf(text: string): Record<string, unknown> | null {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
