/** What the native API shows: the conversation's own objects in the JSON of `schemas.ts`. */

import type { Static } from 'typebox';
import type { EndedTurn, SeenTurn } from '../conversation/event.ts';
import type { Item } from '../conversation/item.ts';
import { takesPlace } from '../conversation/item.ts';
import { answerMessage, type Message, messageOf } from '../conversation/message.ts';
import type { Page } from '../conversation/page.ts';
import { expiresAt, type Session } from '../conversation/session.ts';
import type { TargetState } from '../conversation/target-state.ts';
import type { Attempt, Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { SessionWindow } from '../sessions/sessions.ts';
import type { PlacedItem } from '../stores/store.ts';
import { undecidedCalls } from '../turns/decided-calls.ts';
import type * as schemas from './schemas.ts';
import type { Target } from './server-schemas.ts';

export function sessionView(session: Session): Static<typeof schemas.Session> {
  const end = expiresAt(session);
  return {
    object: 'session',
    id: session.id,
    title: session.title,
    provider: session.provider,
    model: session.model,
    fallback_providers: session.fallbackProviders === null ? null : [...session.fallbackProviders],
    memory_limit: session.memoryLimit,
    max_context_tokens: session.maxContextTokens,
    instructions: session.instructions,
    tools: toolsView(session.tools),
    metadata: { ...session.metadata },
    ttl_seconds: session.ttlSeconds,
    expires_at: end === null ? null : isoTime(end),
    head_turn_id: session.headTurnId,
    created_at: isoTime(session.createdAt),
    updated_at: isoTime(session.updatedAt),
  };
}

function toolsView(tools: Session['tools']): 'none' | string[] | null {
  return tools === null || tools === 'none' ? tools : [...tools];
}

export function turnView(turn: Turn): Static<typeof schemas.TurnRecord> {
  return {
    object: 'turn',
    id: turn.id,
    session_id: turn.sessionId,
    parent_turn_id: turn.parentId,
    status: turn.status,
    input: [...turn.input],
    output: [...turn.output],
    provider: turn.provider,
    provider_source: turn.providerSource,
    model: turn.model,
    finish_reason: turn.finishReason,
    usage: turn.usage,
    attempts: turn.attempts.map(attemptView),
    error: turn.error,
    created_at: isoTime(turn.createdAt),
    completed_at: turn.completedAt === null ? null : isoTime(turn.completedAt),
  };
}

export function answerView({ turn, seen }: EndedTurn): Static<typeof schemas.Answer> {
  const completedAt = turn.completedAt ?? turn.createdAt;
  return {
    session_id: turn.sessionId,
    turn_id: turn.id,
    status: turn.status === 'incomplete' ? 'incomplete' : 'completed',
    provider: turn.provider,
    provider_source: turn.providerSource,
    model: turn.model,
    message: answerMessage(turn.output, turn.id, completedAt),
    finish_reason: turn.finishReason,
    usage: turn.usage,
    history: [...seen.flatMap(turnMessages), ...turnMessages({ ...turn, completedAt })],
    attempts: turn.attempts.map(attemptView),
    ...pendingApprovals(turn),
  };
}

function pendingApprovals({ output }: Turn): Pick<Static<typeof schemas.Answer>, 'pending_approvals'> {
  const pending = undecidedCalls(output).map(({ id, server_label: server, name, arguments: args }) => ({
    approval_request_id: id,
    server,
    name,
    arguments: args,
  }));
  return pending.length === 0 ? {} : { pending_approvals: pending };
}

/** The error that a turn ended with, as it is answered: with its attempts and where it can be read again. */
export function turnFailure({ turn }: EndedTurn): AppError {
  const { code, details } = turn.error ?? { code: 'internal_error', details: undefined };
  return new AppError(code, { ...details, turn_id: turn.id, attempts: turn.attempts.map(attemptView) });
}

export function windowView(view: SessionWindow): Static<typeof schemas.WindowRecord> {
  return {
    object: 'window',
    session_id: view.session.id,
    instructions: view.session.instructions,
    messages: view.window.turns.flatMap(turnMessages),
    memory_limit: view.memoryLimit,
    max_context_tokens: view.session.maxContextTokens,
    estimated_tokens: view.tokens,
    left_out: { messages: view.window.leftOut.places, reason: view.window.leftOut.reason },
  };
}

export function targetView({ model, state, since, until }: TargetState): Static<typeof Target> {
  return { model, state, since: isoTime(since), until: until === null ? null : isoTime(until) };
}

export function messageView({ item, turnId, createdAt }: PlacedItem): Message {
  return messageOf(item, turnId, createdAt);
}

export function listView<Element, View extends { id: string }>(
  page: Page<Element>,
  view: (element: Element) => View,
): { object: 'list'; data: View[]; first_id: string | null; last_id: string | null; has_more: boolean } {
  const data = page.data.map(view);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: page.hasMore,
  };
}

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function isoTimeOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : isoTime(milliseconds);
}

function turnMessages({ id, input, output, createdAt, completedAt }: SeenTurn): Message[] {
  const message = (at: number) => (item: Item) => messageOf(item, id, at);
  return [
    ...input.filter(takesPlace).map(message(createdAt)),
    ...output.filter(takesPlace).map(message(completedAt)),
  ];
}

export function attemptView(attempt: Attempt): Static<typeof schemas.Answer>['attempts'][number] {
  const { error, sampledFor, malformedEvents = 0 } = attempt;
  return {
    provider: attempt.provider,
    model: attempt.model,
    status: attempt.status,
    error:
      error === null
        ? null
        : {
            kind: error.kind,
            ...(error.httpStatus === undefined ? {} : { http_status: error.httpStatus }),
            ...(error.clock === undefined ? {} : { clock: error.clock }),
          },
    started_at: isoTime(attempt.startedAt),
    first_token_ms: attempt.firstTokenMilliseconds,
    duration_ms: attempt.milliseconds,
    usage: attempt.usage,
    ...(sampledFor === undefined ? {} : { sampled_for: sampledFor }),
    ...(malformedEvents === 0 ? {} : { malformed_events: malformedEvents }),
  };
}
