/** Variables: the environment, and behind it the `.env` file. Does not know what they mean. */

import { join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Problem } from './config-error.ts';

export interface Variable {
  /** Trimmed and not empty. */
  readonly text: string;
  readonly source: 'environment' | '.env';
}

/** Looks a variable up by its exact name; undefined if it is unset or empty. */
export type Variables = (name: string) => Variable | undefined;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The text of a file as UTF-8. Throws as `fs.readFileSync` does. */
export type ReadFile = (path: string) => string;

/** Reads `.env` in the directory, if there is one, and puts the environment before it. */
export function readVariables(
  sources: { env: Environment; directory: string; readFile: ReadFile },
  problems: Problem[],
): Variables {
  const { env } = sources;
  const file = readEnvFile(sources.readFile, join(sources.directory, '.env'), problems);
  return (name) => {
    const given = lookUp(env, name);
    if (given !== undefined) return { text: given, source: 'environment' };
    const written = lookUp(file, name);
    return written === undefined ? undefined : { text: written, source: '.env' };
  };
}

/** The code of a failed reading, such as `ENOENT`. */
export function failureCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason';
}

function readEnvFile(readFile: ReadFile, path: string, problems: Problem[]): Environment {
  try {
    return parseEnv(readFile(path));
  } catch (error) {
    const code = failureCode(error);
    if (code !== 'ENOENT') {
      problems.push({ setting: '.env', source: '.env', problem: `cannot be read (${code})` });
    }
    return {};
  }
}

function lookUp(variables: Environment, name: string): string | undefined {
  // Own properties only: "constructor" is no variable.
  const text = Object.hasOwn(variables, name) ? variables[name]?.trim() : undefined;
  return text === '' ? undefined : text;
}
