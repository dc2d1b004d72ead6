/** What `parley keys` is asked to do: its words and options, checked as far as a command can. */

import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { CommandError } from './command-error.ts';
import { EXIT_USAGE } from './exit-codes.ts';
import { EXPIRY, parseExpiry } from './expiry.ts';

export type KeysRequest =
  | { command: 'help' }
  /** The body is that of the admin API. */
  | { command: 'create'; client: string | null; body: object; json: boolean }
  | { command: 'list'; json: boolean }
  | { command: 'rotate'; keyId: string; body: object; json: boolean }
  | { command: 'revoke'; keyId: string; json: boolean };

const EVERYWHERE = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
const text = { type: 'string' } as const;
const OPTIONS: Readonly<Record<string, ParseArgsOptionsConfig>> = {
  create: { ...EVERYWHERE, note: text, expires: text, rps: text, burst: text, client: text },
  list: EVERYWHERE,
  rotate: { ...EVERYWHERE, grace: text },
  revoke: EVERYWHERE,
};

type Values = Partial<Record<string, string | boolean>>;

/**
 * Throws a `CommandError` for what is no use of the command.
 * @param now milliseconds since the epoch
 */
export function readKeysRequest(args: readonly string[], now: number): KeysRequest {
  const [command = '', ...rest] = args;
  if (command === '--help' || command === '-h') return { command: 'help' };
  const options = Object.hasOwn(OPTIONS, command) ? OPTIONS[command] : undefined;
  if (options === undefined)
    throw misuse(command === '' ? 'create, list, rotate or revoke?' : `there is no "${command}"`);
  const { values, positionals } = parsed(rest, options);
  if (values['help'] === true) return { command: 'help' };
  const json = values['json'] === true;
  switch (command) {
    case 'create':
      return { command, ...creation(values, positionals, now), json };
    case 'list':
      if (positionals.length > 0) throw misuse('list takes options alone');
      return { command, json };
    case 'rotate': {
      const seconds = numberOf(values, 'grace');
      const body = seconds === undefined ? {} : { grace_seconds: seconds };
      return { command, keyId: onlyKeyId(command, positionals), body, json };
    }
    default:
      return { command: 'revoke', keyId: onlyKeyId(command, positionals), json };
  }
}

function parsed(args: string[], options: ParseArgsOptionsConfig): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { values: values as Values, positionals };
  } catch (error) {
    // Of several sentences, the first says what is wrong.
    throw misuse((error instanceof Error ? error.message : String(error)).replace(/\.\s.*$/s, ''));
  }
}

/** A new client, which has a name and limits, or another key of one that there is. */
function creation(
  values: Values,
  positionals: readonly string[],
  now: number,
): { client: string | null; body: object } {
  const { note, client } = values;
  const key = { ...(note === undefined ? {} : { note }), ...expiry(values, now) };
  const limits = { rps: numberOf(values, 'rps'), burst: numberOf(values, 'burst') };
  const isLimited = limits.rps !== undefined || limits.burst !== undefined;
  const [name, ...others] = positionals;
  if (others.length > 0) throw misuse('create takes one NAME: put it in quotes if it has spaces');
  if (typeof client === 'string') {
    if (name !== undefined) throw misuse('create takes the NAME of a new client or --client, not both');
    if (isLimited) throw misuse('limits are those of a client: --rps and --burst go with a new one');
    return { client, body: key };
  }
  if (name === undefined) throw misuse('create takes the NAME of a new client, or --client');
  return { client: null, body: { name, ...(isLimited ? { limits } : {}), ...key } };
}

function expiry({ expires }: Values, now: number): { expires_at?: string } {
  if (typeof expires !== 'string') return {};
  const at = parseExpiry(expires, now);
  if (at === null) throw misuse(`--expires must be ${EXPIRY}`);
  if (at <= now) throw misuse('--expires must be in the future');
  return { expires_at: new Date(at).toISOString() };
}

function numberOf(values: Values, option: string): number | undefined {
  const given = values[option];
  if (typeof given !== 'string') return undefined;
  if (!/^\d+(\.\d+)?$/.test(given)) throw misuse(`--${option} must be a number`);
  return Number(given);
}

function onlyKeyId(command: string, positionals: readonly string[]): string {
  const [keyId, ...others] = positionals;
  if (keyId === undefined || others.length > 0)
    throw misuse(`${command} takes one KEY_ID; see parley keys list`);
  return keyId;
}

function misuse(message: string): CommandError {
  return new CommandError(message, EXIT_USAGE);
}
