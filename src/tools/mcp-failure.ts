/** What the driver throws, sorted into the kinds of the contract: the one place that knows its errors. */

import {
  OAuthClientFlowError,
  OAuthError,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  UnauthorizedError,
  UnsupportedProtocolVersionError,
} from '@modelcontextprotocol/client';
import { AnswerTooLargeError } from './guarded-fetch.ts';
import { STREAM_ENDED } from './http-transport.ts';
import { NotSentError } from './stdio-transport.ts';
import { ToolSourceError, type ToolSourceFailure } from './tool-source.ts';
import { ForbiddenAddressError } from './url-guard.ts';

export interface Failure {
  kind: ToolSourceFailure;
  /** Whether the server can have run what was asked of it. */
  mayHaveRun: boolean;
  /** Whether the connection is of no use any more. */
  lost: boolean;
  serverMessage?: string;
}

const SERVER_MESSAGE_LENGTH = 500;

/** Before any byte of a request was sent. */
const NO_CONNECTION = new Set([
  'EACCES',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EMFILE',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const BAD_ANSWERS: ReadonlySet<string> = new Set([
  SdkErrorCode.ClientHttpUnexpectedContent,
  SdkErrorCode.InputRequiredRoundsExceeded,
  SdkErrorCode.InvalidResult,
  SdkErrorCode.ListPaginationExceeded,
  SdkErrorCode.UnsupportedResultType,
]);

/**
 * What an error of the driver means.
 * @param hasSession whether the connection has a session that the server can have forgotten
 */
export function failureOf(error: unknown, hasSession: boolean): Failure {
  const causes = [...causesOf(error)];
  for (const cause of causes) {
    const failure = knownFailure(cause, hasSession);
    if (failure !== undefined) return failure;
  }
  const noAnswer = causes.some((cause) => cause instanceof TypeError && cause.message === 'fetch failed');
  if (noAnswer) return { kind: 'interrupted', mayHaveRun: true, lost: false };
  // Such as JSON that is none: there was an answer, and it could not be read.
  return { kind: 'bad_answer', mayHaveRun: true, lost: false };
}

/** The failure as the error that callers get. */
export function sourceError(
  source: string,
  { kind, mayHaveRun, serverMessage }: Failure,
  cause: unknown,
): ToolSourceError {
  return new ToolSourceError(kind, { source, mayHaveRun, serverMessage, cause });
}

function knownFailure(error: unknown, hasSession: boolean): Failure | undefined {
  if (error instanceof ToolSourceError)
    return { kind: error.kind, mayHaveRun: error.mayHaveRun, lost: false };
  if (error instanceof NotSentError) return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (error instanceof ForbiddenAddressError) return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (error instanceof AnswerTooLargeError) return { kind: 'bad_answer', mayHaveRun: true, lost: false };
  if (isAuthorization(error)) return { kind: 'unauthorized', mayHaveRun: false, lost: false };
  if (SdkHttpError.isInstance(error)) return statusFailure(error.status, hasSession, error.data['text']);
  if (UnsupportedProtocolVersionError.isInstance(error))
    return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (ProtocolError.isInstance(error)) return protocolFailure(error);
  if (SdkError.isInstance(error)) return driverFailure(error);
  if (!(error instanceof Error)) return undefined;
  // The older transport tells the status in words alone.
  const status = /^Error POSTing to endpoint \(HTTP (\d{3})\)/.exec(error.message)?.[1];
  if (status !== undefined) return statusFailure(Number(status), true, undefined);
  return systemFailure(error);
}

function isAuthorization(error: unknown): boolean {
  return (
    UnauthorizedError.isInstance(error) ||
    OAuthError.isInstance(error) ||
    OAuthClientFlowError.isInstance(error)
  );
}

function statusFailure(status: number, hasSession: boolean, text: unknown): Failure {
  const said = typeof text === 'string' && text !== '' ? { serverMessage: shortened(text) } : {};
  if (status === 401 || status === 403) return { kind: 'unauthorized', mayHaveRun: false, lost: false };
  // The protocol says 404 for a forgotten session; several servers say 400.
  if ((status === 404 || status === 400) && hasSession)
    return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (status === 429) return { kind: 'unavailable', mayHaveRun: false, lost: false };
  // Proxies give these for servers that are away, and for those that are at it.
  if (status === 502 || status === 503 || status === 504)
    return { kind: 'unavailable', mayHaveRun: true, lost: true };
  return { kind: 'refused', mayHaveRun: status >= 500, lost: false, ...said };
}

function protocolFailure({ code, message }: ProtocolError): Failure {
  if (code === STREAM_ENDED) return { kind: 'interrupted', mayHaveRun: true, lost: false };
  return { kind: 'refused', mayHaveRun: true, lost: false, serverMessage: shortened(message) };
}

function driverFailure({ code }: SdkError): Failure | undefined {
  if (code === SdkErrorCode.ConnectionClosed) return { kind: 'interrupted', mayHaveRun: true, lost: true };
  if (code === SdkErrorCode.NotConnected) return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (code === SdkErrorCode.RequestTimeout) return { kind: 'timeout', mayHaveRun: true, lost: false };
  if (BAD_ANSWERS.has(code)) return { kind: 'bad_answer', mayHaveRun: true, lost: false };
  // What is left wraps something that says more.
  return undefined;
}

function systemFailure(error: Error): Failure | undefined {
  if (error.message === 'Not connected') return { kind: 'unavailable', mayHaveRun: false, lost: true };
  const code = 'code' in error ? String(error.code) : '';
  if (NO_CONNECTION.has(code)) return { kind: 'unavailable', mayHaveRun: false, lost: true };
  // A certificate is looked at before anything is sent.
  if (/CERT|^ERR_TLS|SELF_SIGNED|UNABLE_TO_/.test(code))
    return { kind: 'unavailable', mayHaveRun: false, lost: true };
  if (/^(ECONNRESET|EPIPE|ETIMEDOUT|UND_ERR_)/.test(code))
    return { kind: 'interrupted', mayHaveRun: true, lost: false };
  return undefined;
}

/** The error and what has caused it, the outermost first, and of several attempts to connect the first. */
function* causesOf(error: unknown): Generator {
  let cause = error;
  for (let depth = 0; depth < 8 && cause !== undefined && cause !== null; depth += 1) {
    yield cause;
    if (cause instanceof AggregateError) cause = cause.errors[0];
    else cause = cause instanceof Error ? cause.cause : undefined;
  }
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= SERVER_MESSAGE_LENGTH ? line : line.slice(0, SERVER_MESSAGE_LENGTH).toWellFormed();
}
