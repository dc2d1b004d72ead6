/** Errors in the envelope of OpenAI's API, whose clients want all four fields of it, from the same catalogue. */

import type { AppError } from '../../errors.ts';

export interface OpenAIError {
  message: string;
  type: string;
  /** The field of the request that is wrong; null where it is no single one. */
  param: string | null;
  code: string;
}

export interface OpenAIErrorBody {
  error: OpenAIError;
}

/** Where clients of OpenAI's come in. */
export function isOpenAIPath(path: string): boolean {
  return /^\/v1(?:[/?]|$)/.test(path);
}

/** What clients of OpenAI's read of an error. */
export function openAIErrorBody(error: AppError): OpenAIErrorBody {
  return { error: openAIError(error) };
}

export function openAIError({ code, status, message, details = {} }: AppError): OpenAIError {
  const [problem] = problemsOf(details['problems']);
  const { param: given, reason } = details;
  const said = problem === undefined ? message : `${message} ${problem.path} ${problem.message}`;
  const param = typeof given === 'string' ? given : (problem?.path ?? null);
  return { message: typeof reason === 'string' ? reason : said, type: typeOf(status), param, code };
}

interface Problem {
  /** As OpenAI writes the place: `input[0].role`. */
  path: string;
  message: string;
}

function problemsOf(problems: unknown): Problem[] {
  if (!Array.isArray(problems)) return [];
  return problems.map(({ in: part, path, message }: { in: string; path: string; message: string }) => ({
    path: path === '' ? part : placeOf(path),
    message,
  }));
}

/** From a JSON pointer. */
function placeOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => (/^\d+$/.test(name) ? `[${name}]` : `.${name}`))
    .join('')
    .replace(/^\./, '');
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
