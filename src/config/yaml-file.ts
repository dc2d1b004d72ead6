/**
 * The YAML file of `APP_CONFIG_FILE`: read, parsed, and its variables put in. What its names mean is not
 * checked here. Problems tell places, never contents, because the file may hold keys.
 */

import { resolve } from 'node:path';
import { parseDocument, type YAMLError } from 'yaml';
import type { Problem } from './config-error.ts';
import { failureCode, type ReadFile, type Variable, type Variables } from './variables.ts';

export interface YamlFile {
  /** The path as the operator wrote it. */
  readonly source: string;
  readonly values: ReadonlyMap<string, unknown>;
  /** False if the file could not be read as YAML, so that what is missing says nothing. */
  readonly readable: boolean;
}

/** Reads the file that the variable names. Without one, or when it cannot be read, there are no values. */
export function readYamlFile(
  sources: { path: Variable | undefined; directory: string; readFile: ReadFile },
  problems: Problem[],
): YamlFile {
  const { path } = sources;
  if (path === undefined) return { source: 'APP_CONFIG_FILE', values: new Map(), readable: true };
  const unreadable = { source: path.text, values: new Map<string, unknown>(), readable: false };
  let text: string;
  try {
    text = sources.readFile(resolve(sources.directory, path.text));
  } catch (error) {
    const problem = `names a file that cannot be read (${failureCode(error)}): ${path.text}`;
    problems.push({ setting: 'APP_CONFIG_FILE', source: path.source, problem });
    return unreadable;
  }
  const parsed = parseYaml(text);
  for (const problem of parsed.problems) {
    problems.push({ setting: 'APP_CONFIG_FILE', source: path.text, problem });
  }
  return parsed.values === undefined ? unreadable : { ...unreadable, values: parsed.values, readable: true };
}

/**
 * Puts the variables' values in the place of `${NAME}`. Values are not searched again. `problem` is there if
 * a variable is unset or its name is not one.
 */
export function expandVariables(text: string, variables: Variables): { text: string; problem?: string } {
  let problem: string | undefined;
  const expanded = text.replace(/\$\{([^}]*)(\}?)/g, (written, name: string, end: string) => {
    // Only what looks like a variable's name is repeated: anything else may be part of a key.
    const valid = end !== '' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
    const value = valid ? variables(name)?.text : undefined;
    if (value === undefined) {
      problem ??= valid
        ? `needs the variable ${name}, which is not set`
        : 'has a "${" that no variable\'s name and "}" follow';
    }
    return value ?? written;
  });
  return problem === undefined ? { text: expanded } : { text: expanded, problem };
}

interface ParsedYaml {
  values?: ReadonlyMap<string, unknown>;
  problems: string[];
}

function parseYaml(text: string): ParsedYaml {
  let content: unknown;
  try {
    const document = parseDocument(text, { stringKeys: true });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) return { problems: [...new Set(faults.map(faultInWords))] };
    content = document.toJS();
  } catch {
    // The parser's own text may quote the file.
    return { problems: ['is not valid YAML: its aliases cannot be resolved'] };
  }
  if (content === null) return { values: new Map(), problems: [] };
  if (!isPlainObject(content)) return { problems: ['must hold names and values, as in "port: 8000"'] };
  return { values: new Map(Object.entries(content)), problems: [] };
}

function faultInWords({ code, linePos }: YAMLError): string {
  const place = linePos === undefined ? '' : ` at line ${linePos[0].line}, column ${linePos[0].col}`;
  return `is not valid YAML${place}: ${code.toLowerCase().replaceAll('_', ' ')}`;
}

/** Whether the value is a YAML mapping. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A name of the YAML as a problem may show it: up to the first character that no name of ours has, because
 * of a missing space or quote a key may have become part of the name.
 */
export function shownName(name: string): string {
  const shown = /^[\w-]{0,40}/.exec(name)?.[0] ?? '';
  return shown === name && name !== '' ? name : `${shown}…`;
}
