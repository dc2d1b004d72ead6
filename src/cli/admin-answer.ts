/** What the administration answers, as a command takes it: the body, or one line about what was refused. */

import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';

/** By which word of the command a field of a request was given. */
const WORDS: Readonly<Record<string, string>> = {
  '/name': 'NAME',
  '/note': '--note',
  '/expires_at': '--expires',
  '/limits/rps': '--rps',
  '/limits/burst': '--burst',
  '/grace_seconds': '--grace',
};

interface Refusal {
  error: { code: string; message: string; details?: { problems?: { path: string; message: string }[] } };
}

/**
 * The body of an answer, null if it has none. Throws a `CommandError` for one that refuses, and a `SyntaxError` or
 * `TypeError` for one that is none of ours.
 */
export function readAnswer(status: number, text: string): unknown {
  const body: unknown = text === '' ? null : JSON.parse(text);
  if (status < 400) return body;
  const { message, details } = (body as Refusal).error;
  const [problem] = details?.problems ?? [];
  if (problem === undefined) throw new CommandError(message);
  throw new CommandError(`${WORDS[problem.path] ?? problem.path} ${problem.message}`, EXIT_USAGE);
}
