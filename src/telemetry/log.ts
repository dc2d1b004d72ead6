/** The log: JSON lines. What a conversation says, and keys, are never part of a line. */

import { type DestinationStream, type Logger, pino } from 'pino';
import type { AuditEntry } from '../conversation/client.ts';
import { NO_SESSION } from '../conversation/session.ts';
import type { TargetState } from '../conversation/target-state.ts';
import type { Attempt, Turn } from '../conversation/turn.ts';
import type { OutageWatch } from './observe-outages.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** @param destination standard output if left out */
export function createLog(level: LogLevel, destination?: DestinationStream): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/**
 * One line for a turn that is over.
 * @param cause what is behind the turn's error, where more is known than clients are told
 * @param requestId of the request that began it
 */
export function logTurn(log: Logger, turn: Turn, cause: unknown, requestId: string): void {
  const { error, usage } = turn;
  const line = {
    request_id: requestId,
    turn_id: turn.id,
    session_id: turn.sessionId === NO_SESSION ? null : turn.sessionId,
    status: turn.status,
    provider: turn.provider,
    model: turn.model,
    attempts: turn.attempts.length,
    input_tokens: usage?.input_tokens ?? null,
    output_tokens: usage?.output_tokens ?? null,
    ms: (turn.completedAt ?? turn.createdAt) - turn.createdAt,
    ...(error === null
      ? {}
      : { code: error.code, failures: turn.attempts.map(failureOf), ...explain(cause) }),
  };
  if (error === null) log.info(line, 'turn');
  else log.warn(line, 'turn');
}

/** One line for a target whose state has changed. */
export function logTargetState(log: Logger, { provider, model, state, until }: TargetState): void {
  const line = {
    provider,
    model,
    state,
    ...(until === null ? {} : { until: new Date(until).toISOString() }),
  };
  if (state === 'open') log.warn(line, 'target state');
  else log.info(line, 'target state');
}

/**
 * One line for a change that an operator has made, with the id of its entry in the log of changes.
 * @param requestId undefined where it was not made by a request
 */
export function logAudit(log: Logger, entry: AuditEntry, requestId?: string): void {
  const { id, action, subject, details } = entry;
  const line = { audit_id: id, action, subject, details };
  log.info(requestId === undefined ? line : { request_id: requestId, ...line }, 'audit');
}

/** One line when the store is out of service, with what is behind it, and one when it serves again. */
export function logOutages(log: Logger): OutageWatch {
  return {
    began: (cause) => log.error({ err: cause }, 'the store cannot serve'),
    ended: (milliseconds) => log.info({ seconds: Math.round(milliseconds / 1000) }, 'the store serves again'),
  };
}

function failureOf({ error }: Attempt): object | null {
  if (error === null) return null;
  const { kind, httpStatus: http_status, clock } = error;
  return { kind, http_status, clock };
}

/** An error that nobody foresaw, with its stack. Not a provider's: its words may quote the conversation. */
function explain(cause: unknown): object {
  return cause instanceof Error && !('providerMessage' in cause) ? { err: cause } : {};
}
