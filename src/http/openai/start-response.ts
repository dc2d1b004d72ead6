/** A response, begun as the turn that it is: in its place, with what it is to be told, and once however often it is sent. */

import type { FastifyRequest } from 'fastify';
import type { Item } from '../../conversation/item.ts';
import type { RequestKey } from '../../conversation/request-key.ts';
import type { Session } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { decidedCalls } from '../../turns/decided-calls.ts';
import type { RequestedTools, TurnRequest, UnstoredRequest } from '../../turns/turn-request.ts';
import type { StartedTurn } from '../../turns/turns.ts';
import { approvalsKey, libraryKey } from '../request-key.ts';
import type { Rooms } from '../rooms.ts';
import { wrong } from './input-items.ts';
import { withoutReferences } from './item-references.ts';
import { type Before, beforeResponse, copyMadeFor, historyOf, isCut, placeFor } from './response-place.ts';
import type { ResponseRequest } from './response-request.ts';
import { chosenTools } from './response-tools.ts';

/** Of the HTTP request: who asks, and under which key. */
export type Asker = Pick<FastifyRequest, 'id' | 'owner' | 'allowance' | 'headers' | 'body'>;

/**
 * Begins the response, or joins the one that was begun for the same request. Throws what begins none, in the words of this
 * door: `conversation_locked` for a conversation in which a turn is running.
 */
export async function startResponse(
  asked: ResponseRequest,
  asker: Asker,
  rooms: Rooms,
): Promise<StartedTurn> {
  const { sessions, turns } = rooms;
  const { owner } = asker;
  const before = await beforeResponse(sessions, owner, asked);
  const history = () => historyOf(sessions, owner, before, asked.truncation);
  const input = await withoutReferences(asked.input, owner, history, {
    sessions,
    turnIndex: rooms.admin.adminStore,
  });
  if (input.length === 0) throw wrong('input', 'must have something in it that was not said before');
  checkResults(input, before);
  const common = await commonRequest(asked, asker, rooms, before, input);
  if (!asked.store) return turns.startUnstored({ ...common, input: [...(await history()), ...input] });

  const decided = await decisions(sessions, owner, before, input);
  const key = decided?.key ?? libraryKeyOf(asker, rooms);
  const startInCopy = ({ id }: Session) =>
    turns.start({ ...common, sessionId: id, parentTurnId: undefined, onBusy: 'reject', key });
  const copy = decided === null && key !== null ? await copyMadeFor(sessions, owner, before, key) : null;
  if (copy !== null) return startInCopy(copy);
  const place = await placeFor(sessions, owner, before, key);
  const request: TurnRequest = {
    ...common,
    sessionId: place.sessionId,
    parentTurnId: decided?.turnId ?? before?.turn?.id,
    // Calls are decided about in one place, so that none of them is made twice.
    onBusy: decided === null ? 'reject' : 'queue',
    key,
  };
  try {
    return await turns.start(request);
  } catch (error) {
    if (place.isNew) await sessions.delete(owner, place.sessionId);
    if (!(error instanceof AppError) || error.code !== 'session_busy') throw error;
    if (before === null || before.turn === null) throw locked();
    return startInCopy(await sessions.fork(owner, place.sessionId, before.turn.id, key));
  }
}

function libraryKeyOf({ headers, body }: Asker, { idempotencySeconds }: Rooms): RequestKey | null {
  // How the response is delivered is no part of what is asked.
  const { stream: _, stream_options: __, ...asked } = body as Record<string, unknown>;
  return libraryKey(headers, 'responses', asked, idempotencySeconds);
}

async function commonRequest(
  { instructions, model, options, mcp, stream, background, truncation, shown }: ResponseRequest,
  { id, owner, allowance }: Asker,
  { sessions, toolboxes, providers }: Rooms,
  before: Before | null,
  input: readonly Item[],
): Promise<UnstoredRequest> {
  const cut = isCut(truncation, before);
  const tools = mcp === null ? undefined : await requestedTools(mcp, toolboxes);
  return {
    owner,
    allowance,
    input,
    ...(instructions === undefined ? {} : { instructions }),
    ...(tools === undefined ? {} : { tools }),
    provider: null,
    model,
    memoryLimit: cut ? null : sessions.maxPlaces,
    options,
    asked: {
      model: before?.session.model ?? providers.default.defaultModel ?? '',
      truncation: cut ? 'auto' : 'disabled',
      ...shown,
    },
    // What nobody waits for with a clock of its own is to have the time of a stream.
    stream: stream || background,
    requestId: id,
  };
}

/** Longer than lists of tools are waited for. */
const LISTS_MILLISECONDS = 10_000;

async function requestedTools(
  mcp: NonNullable<ResponseRequest['mcp']>,
  toolboxes: Rooms['toolboxes'],
): Promise<RequestedTools> {
  if (mcp.length === 0) return { choice: 'none', requireApproval: [] };
  const { tools, missing } = await toolboxes.list(AbortSignal.timeout(LISTS_MILLISECONDS));
  return chosenTools(
    mcp,
    tools.map(({ source, tool }) => ({ server: source.name, name: tool.name })),
    missing.map(({ source }) => source.name),
  );
}

/** Throws for a result without its call, or a call whose result is missing among others, as far as the last turn tells. */
function checkResults(input: readonly Item[], before: Before | null): void {
  const results = input.flatMap((item) => (item.type === 'function_call_output' ? [item.call_id] : []));
  if (results.length === 0) return;
  const called = input.flatMap((item) => (item.type === 'function_call' ? [item.call_id] : []));
  const waiting = (before?.turn?.output ?? []).flatMap((item) =>
    item.type === 'function_call' ? [item.call_id] : [],
  );
  const orphan = results.find((callId) => !called.includes(callId));
  if (before === null && orphan !== undefined) throw noCall(orphan);
  const unanswered = [...called, ...waiting].find((callId) => !results.includes(callId));
  if (unanswered !== undefined) {
    throw new AppError('invalid_request', {
      param: 'input',
      reason: `No tool output found for function call ${unanswered}.`,
    });
  }
}

/** There is no call for that result. */
export function noCall(callId: string): AppError {
  const reason = `No tool call found for function call output with call_id ${callId}.`;
  return new AppError('tool_call_not_found', { param: 'input', reason });
}

interface Decisions {
  /** The turn that the calls are of. */
  turnId: string;
  /** The same decisions are the same turn. */
  key: RequestKey;
}

/** Decisions about the calls that the turn before has left; null without any. */
async function decisions(
  sessions: Sessions,
  owner: string,
  before: Before | null,
  input: readonly Item[],
): Promise<Decisions | null> {
  const responses = input.filter((item) => item.type === 'mcp_approval_response');
  if (responses.length === 0) return null;
  const turnId = before?.turn?.id ?? before?.session.headTurnId ?? null;
  if (before === null || turnId === null) {
    throw new AppError('approval_not_found', {
      param: 'input',
      reason: 'Decisions about calls need the response that has them, or its conversation.',
    });
  }
  const { output } = before.turn ?? (await sessions.turn(owner, before.session.id, turnId));
  decidedCalls(output, responses);
  const made = responses.map(({ approval_request_id, approve, reason }) => ({
    approval_request_id,
    approve,
    ...(reason === null ? {} : { reason }),
  }));
  return { turnId, key: approvalsKey(turnId, made) };
}

function locked(): AppError {
  return new AppError('conversation_locked', {
    param: 'conversation',
    reason: 'Another process is currently operating on this conversation. Please retry in a few seconds.',
  });
}
