/** What `parley export` and `parley import` are asked to do: their words and options. */

import { parseArgs } from 'node:util';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';

/** Stands for standard output, or standard input, where a file is named. */
export const STANDARD = '-';

export type ExportRequest =
  | { command: 'help' }
  /** @param from a store's location; null = the configuration's */
  | { command: 'export'; from: string | null; to: string };

export type ImportRequest =
  | { command: 'help' }
  | { command: 'import'; file: string; into: string | null; intoExisting: boolean };

const text = { type: 'string' } as const;
const help = { type: 'boolean', short: 'h' } as const;

/** Throws a `CommandError` for what is no use of the command. */
export function readExportRequest(args: readonly string[]): ExportRequest {
  const { values, positionals } = understood(() =>
    parseArgs({ args: [...args], options: { to: text, from: text, help }, allowPositionals: true }),
  );
  if (values.help === true) return { command: 'help' };
  if (positionals.length > 0) throw misuse(`export takes options alone: --to ${positionals[0]}`);
  return { command: 'export', from: named('from', values.from), to: named('to', values.to) ?? STANDARD };
}

/** Throws a `CommandError` for what is no use of the command. */
export function readImportRequest(args: readonly string[]): ImportRequest {
  const options = { into: text, 'into-existing': { type: 'boolean' }, help } as const;
  const { values, positionals } = understood(() =>
    parseArgs({ args: [...args], options, allowPositionals: true }),
  );
  if (values.help === true) return { command: 'help' };
  const [file, ...others] = positionals;
  if (file === undefined || file === '' || others.length > 0) {
    throw misuse('import takes one FILE, or - for standard input');
  }
  const intoExisting = values['into-existing'] === true;
  return { command: 'import', file, into: named('into', values.into), intoExisting };
}

function named(option: string, value: string | undefined): string | null {
  if (value === '') throw misuse(`--${option} is empty`);
  return value ?? null;
}

function understood<Parsed>(parse: () => Parsed): Parsed {
  try {
    return parse();
  } catch (error) {
    // Of several sentences, the first says what is wrong.
    throw misuse((error instanceof Error ? error.message : String(error)).replace(/\.\s.*$/s, ''));
  }
}

function misuse(message: string): CommandError {
  return new CommandError(message, EXIT_USAGE);
}
