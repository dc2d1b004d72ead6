/** Spans around turns. A turn belongs to the request that began it, and goes on when that is over. */

import { type Context, context, createContextKey, type Span, type Tracer } from '@opentelemetry/api';
import type { EndedTurn } from '../conversation/event.ts';
import { NO_SESSION } from '../conversation/session.ts';
import type { Turn } from '../conversation/turn.ts';
import { asAppError } from '../errors.ts';
import { failSpan } from './failed-span.ts';

/** Runs a turn that has begun. */
export type AroundTurn = (turn: Turn, run: () => Promise<EndedTurn>) => Promise<EndedTurn>;

const SESSION = createContextKey('session of the turn');

/** The session whose turn goes on in that context; null if none does. */
export function sessionIn(active: Context): string | null {
  const sessionId = active.getValue(SESSION);
  return typeof sessionId === 'string' ? sessionId : null;
}

/** What runs each turn in a span. Errors are passed on as they are. */
export function traceTurns(tracer: Tracer): AroundTurn {
  return (turn, run) => {
    const { id, sessionId } = turn;
    const isInSession = sessionId !== NO_SESSION;
    const attributes = {
      'parley.turn.id': id,
      ...(isInSession ? { 'gen_ai.conversation.id': sessionId } : {}),
    };
    const inSession = context.active().setValue(SESSION, isInSession ? sessionId : null);
    return tracer.startActiveSpan('turn', { attributes }, inSession, async (span) => {
      try {
        const ended = await run();
        noteEnd(span, ended.turn);
        return ended;
      } catch (error) {
        failSpan(span, asAppError(error).code);
        throw error;
      } finally {
        span.end();
      }
    });
  };
}

function noteEnd(span: Span, { status, error, attempts, providerSource }: Turn): void {
  span.setAttributes({ 'parley.turn.status': status, 'parley.turn.attempts': attempts.length });
  if (providerSource !== null) span.setAttribute('parley.turn.provider_source', providerSource);
  // A turn that was stopped has done what it was told to.
  if (error !== null && status === 'failed') failSpan(span, error.code);
}
