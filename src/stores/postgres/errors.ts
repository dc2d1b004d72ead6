/**
 * Which of the engine's errors mean that it cannot be reached or written to, and which that this program is wrong. Pure.
 */

import { DatabaseError } from 'pg';
import { AppError } from '../../errors.ts';

/** Classes of SQLSTATE, its first two characters. */
const UNAVAILABLE_CLASSES = new Set([
  '08', // the connection, a proxy's own errors among them
  '28', // refused at the door: a password that was changed, or is about to be
  '3D', // no such database: not yet, or not any more
  '40', // rolled back for others' sake: a deadlock, a standby that must go on
  '53', // no room on the disk or in memory, too many connections
  '57', // ends of sessions and of statements: shut down, starting up, cancelled by a timeout
  '58', // errors of the system below
]);
const UNAVAILABLE_CODES = new Set([
  '25006', // read-only: a standby, a primary that has become one, an operator's decision
  '55P03', // a lock that was not to be had in time
  'XX001', // corrupt data
  'XX002', // corrupt index
]);

/** After these another connection may lead to a server that can do what this one cannot. */
const CONNECTION_CLASSES = new Set(['08', '28', '3D', '58']);
const CONNECTION_CODES = new Set(['25006', '57P01', '57P02', '57P03', '57P05']);

/** What the language throws at mistakes in this program; everything else without a SQLSTATE is the connection's. */
const MISTAKES = [TypeError, RangeError, ReferenceError, SyntaxError];

/** `store_unavailable` for what keeps the engine from working; any other error as it is. */
export function asStoreError(error: unknown): unknown {
  if (MISTAKES.some((mistake) => error instanceof mistake)) return error;
  if (error instanceof DatabaseError && !speaksOfEngine(error.code)) return error;
  return new AppError('store_unavailable', undefined, { cause: error });
}

/** Whether the connection on which the error came should not be used any longer. */
export function endsConnection(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return true;
  const code = error.code ?? '';
  return error.severity === 'FATAL' || CONNECTION_CLASSES.has(code.slice(0, 2)) || CONNECTION_CODES.has(code);
}

function speaksOfEngine(code = ''): boolean {
  return UNAVAILABLE_CLASSES.has(code.slice(0, 2)) || UNAVAILABLE_CODES.has(code);
}
