/**
 * What a failed command means: that the engine cannot serve at the moment, which passes, or that the program is wrong,
 * which does not. It decides by the words that Redis begins its errors with.
 */

import { AbortError, ErrorReply, TimeoutError } from '@redis/client';
import { AppError } from '../errors.ts';

/** The server is there and does not do this now: it starts, fails over, is full, or lets nobody else in. */
const REFUSALS = new Set([
  'LOADING',
  'READONLY',
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'BUSY',
  'UNKILLABLE',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
  'UNBLOCKED',
]);

/** Of these, the ones that are over by themselves in a moment. Nothing was done, so it can be asked for again. */
const MOMENTARY = new Set(['LOADING', 'MASTERDOWN', 'CLUSTERDOWN', 'TRYAGAIN']);

/** The driver's errors by their names: not all of its classes can be told by `instanceof` after it wraps them. */
const DRIVER_ERRORS = new Set([
  'ClientClosedError',
  'ClientOfflineError',
  'ConnectionTimeoutError',
  'DisconnectsClientError',
  'MaxCommandRedirectionsError',
  'ReconnectStrategyError',
  'RootNodesUnavailableError',
  'SocketClosedUnexpectedlyError',
  'SocketTimeoutError',
]);

/** What Node calls the errors of OpenSSL and of its check of certificates. */
const CIPHER_CODES =
  /^(ERR_(SSL|TLS)|CERT|CRL|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|HOSTNAME|PATH_LENGTH|INVALID_(CA|PURPOSE)|ERROR_IN_C)/;

/** Nothing was sent: there is no connection at the moment. */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError';
}

/** Every sentinel was asked, and none knows a master of that name. */
export class UnknownMasterError extends Error {
  override readonly name = 'UnknownMasterError';
}

/** The error as callers of a store know it; what is a mistake of the program stays what it is. */
export function asStoreError(error: unknown): unknown {
  return isOutage(error) ? new AppError('store_unavailable', undefined, { cause: error }) : error;
}

/** Whether the command has had no effect for certain, and may have one in a moment. */
export function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof ErrorReply) return MOMENTARY.has(word(error));
  return error instanceof NotConnectedError || nameOf(error) === 'ClientOfflineError';
}

/** Whether somebody answers, and it is clear that he will not serve us: trying again changes nothing. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ErrorReply) return !MOMENTARY.has(word(error));
  return error instanceof UnknownMasterError || (error instanceof Error && isCipherError(error));
}

/** For the operator, to follow what went wrong with the first connection: what it may come from; empty if that is clear. */
export function hintOn(error: Error, { encrypted }: { encrypted: boolean }): string {
  if (!encrypted) return isHangUp(error) ? ' (if it wants TLS, its address begins with rediss://)' : '';
  // A server without TLS waits for the end of what it takes for a command, or says that it is none.
  const isOther = nameOf(error) === 'ConnectionTimeoutError' || /^ERR_SSL_(WRONG|PACKET)/.test(codeOf(error));
  return isOther || isHangUp(error) ? ' (if it has no TLS, its address begins with redis://)' : '';
}

/** Whether the server does not know the script any more: it was started anew, or flushed. */
export function isUnknownScript(error: unknown): boolean {
  return error instanceof ErrorReply && word(error) === 'NOSCRIPT';
}

function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof ErrorReply) return REFUSALS.has(word(error)) || isTooManyClients(error);
  if (error instanceof NotConnectedError || error instanceof TimeoutError || error instanceof AbortError)
    return true;
  // Errors of sockets and of name resolution have a code of the system.
  if (DRIVER_ERRORS.has(nameOf(error)) || ('syscall' in error && 'code' in error)) return true;
  return isHangUp(error) || isCipherError(error);
}

function isTooManyClients({ message }: Error): boolean {
  return message.startsWith('ERR max number of clients');
}

/** TLS: what OpenSSL and the check of certificates say. */
function isCipherError(error: Error): boolean {
  return CIPHER_CODES.test(codeOf(error));
}

/** The other end has hung up. */
function isHangUp(error: Error): boolean {
  return codeOf(error) === 'ECONNRESET' || nameOf(error) === 'SocketClosedUnexpectedlyError';
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function word({ message }: Error): string {
  return message.split(' ', 1)[0] ?? '';
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.constructor.name : '';
}
