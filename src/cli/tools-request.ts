/** What `parley tools` is asked to do: its words and options. */

import { parseArgs } from 'node:util';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';

export type ToolsRequest =
  | { command: 'help' }
  | { command: 'list'; json: boolean }
  /** @param tool as sessions name it: `server.tool` */
  | { command: 'call'; server: string; tool: string; args: Record<string, unknown>; json: boolean };

/** Throws a `CommandError` for what is no use of the command. */
export function readToolsRequest(args: readonly string[]): ToolsRequest {
  const { values, positionals } = understood(args);
  if (values.help === true) return { command: 'help' };
  const json = values.json === true;
  const [command = 'list', ...words] = positionals;
  if (command === 'list') {
    if (words.length > 0) throw misuse('list takes options alone');
    return { command, json };
  }
  if (command !== 'call') throw misuse(`there is no "${command}"`);
  const [name = '', given = '{}', ...others] = words;
  const dot = name.indexOf('.');
  if (dot < 1 || dot === name.length - 1 || others.length > 0) {
    throw misuse('call takes a tool as SERVER.TOOL, and its arguments as one JSON object');
  }
  return { command, server: name.slice(0, dot), tool: name.slice(dot + 1), args: objectOf(given), json };
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw misuse('the arguments must be a JSON object');
}

function understood(args: readonly string[]) {
  const options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // Of several sentences, the first says what is wrong.
    throw misuse((error instanceof Error ? error.message : String(error)).replace(/\.\s.*$/s, ''));
  }
}

function misuse(message: string): CommandError {
  return new CommandError(message, EXIT_USAGE);
}
