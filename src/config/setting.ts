/**
 * The kinds of settings: what text each accepts and what value it becomes. Every kind makes one declaration
 * of the schema. Where texts come from is not known here.
 */

import { isIP } from 'node:net';

/** How a value may be shown to the operator: whole, as a URL without its password or its query, or not at all. */
export type Disclosure = 'whole' | 'without-password' | 'without-query' | 'never';

export type SettingValue = string | number | boolean | null | readonly string[];

export interface Setting<Value extends SettingValue> {
  /** One sentence, with the unit. */
  readonly description: string;
  readonly default: Value;
  /** What a value is, to follow "must be". */
  readonly expects: string;
  readonly disclosure: Disclosure;
  /** What the YAML may hold instead of text. */
  readonly yamlType: 'text' | 'number' | 'number-or-text' | 'boolean' | 'list';
  /** Whether the YAML may not set it. */
  readonly variableOnly: boolean;
  /** The value of a trimmed text that is not empty; undefined if the text is none of this kind. */
  parse(text: string): NonNullable<Value> | undefined;
}

/** What a declaration says for itself, whatever its kind. */
interface Declaration<Default> {
  readonly default: Default;
  readonly description: string;
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

export function integer<Default extends number | null>(
  declaration: Declaration<Default> & Bounds,
): Setting<number | Default> {
  const { min, max } = declaration;
  return {
    ...settingOf(declaration, `a whole number from ${min} to ${max}`),
    yamlType: 'number',
    parse: (text) => (/^[+-]?\d+$/.test(text) ? within(declaration, Number(text)) : undefined),
  };
}

export function number<Default extends number | null>(
  declaration: Declaration<Default> & Bounds,
): Setting<number | Default> {
  const { min, max } = declaration;
  return {
    ...settingOf(declaration, `a number from ${min} to ${max}`),
    yamlType: 'number',
    parse: (text) => (/^[+-]?\d+(\.\d+)?$/.test(text) ? within(declaration, Number(text)) : undefined),
  };
}

export function boolean(declaration: Declaration<boolean>): Setting<boolean> {
  const meanings = new Map([
    ['true', true],
    ['false', false],
    ['1', true],
    ['0', false],
  ]);
  return {
    ...settingOf(declaration, 'true or false'),
    yamlType: 'boolean',
    parse: (text) => meanings.get(text.toLowerCase()),
  };
}

export function choice<const Option extends string>(
  declaration: Declaration<NoInfer<Option>> & { readonly options: readonly Option[] },
): Setting<Option> {
  return {
    ...settingOf(declaration, `one of ${declaration.options.join(', ')}`),
    parse: (text) => declaration.options.find((option) => option === text.toLowerCase()),
  };
}

export function text<Default extends string | null>(
  declaration: Declaration<Default>,
): Setting<string | Default> {
  return {
    ...settingOf(declaration, 'text on one line'),
    parse: (text) => (/\p{Cc}/u.test(text) ? undefined : text),
  };
}

/** Text that is sent as the value of an HTTP header. */
export function headerText<Default extends string | null>(
  declaration: Declaration<Default>,
): Setting<string | Default> {
  return {
    ...settingOf(declaration, HEADER_TEXT),
    parse: (text) => (isHeaderText(text) ? text : undefined),
  };
}

/** A key, sent in an HTTP header and never shown. */
export function secret(declaration: Declaration<null>): Setting<string | null> {
  return { ...headerText(declaration), disclosure: 'never' };
}

/** Callers' keys, as `name:key` with commas between them; never shown. */
export function apiKeys(declaration: Declaration<readonly string[]>): Setting<readonly string[]> {
  return {
    ...settingOf(
      declaration,
      `name:key pairs with commas between them, each name and key once; a name is ${PROVIDER_NAME}`,
    ),
    disclosure: 'never',
    yamlType: 'list',
    parse(text) {
      const pairs = text.split(',').map((part) => part.trim());
      const names = pairs.map((pair) => pair.slice(0, Math.max(0, pair.indexOf(':'))));
      const keys = pairs.map((pair) => pair.slice(pair.indexOf(':') + 1));
      const isWhole = names.every(isProviderName) && keys.every((key) => /^[\x21-\x7e]+$/.test(key));
      const isUnique = new Set(names).size === pairs.length && new Set(keys).size === pairs.length;
      return isWhole && isUnique ? Object.freeze(pairs) : undefined;
    },
  };
}

/**
 * Headers as OpenTelemetry writes them: `name=value` with commas between them, values percent-encoded. Never shown.
 * The value is a list of such pairs, decoded.
 */
export function headerPairs(declaration: Declaration<readonly string[]>): Setting<readonly string[]> {
  return {
    ...settingOf(
      declaration,
      'name=value pairs with commas between them, each name once, values percent-encoded',
    ),
    disclosure: 'never',
    yamlType: 'list',
    parse(text) {
      const pairs = text.split(',').map(headerPair);
      const names = new Set(pairs.map((pair) => pair?.slice(0, pair.indexOf('=')).toLowerCase()));
      return names.has(undefined) || names.size < pairs.length ? undefined : Object.freeze(pairs as string[]);
    },
  };
}

function headerPair(text: string): string | undefined {
  const [, name, encoded = ''] = /^([\w!#$%&'*+.^`|~-]+)\s*=(.*)$/.exec(text.trim()) ?? [];
  if (name === undefined) return undefined;
  try {
    const value = decodeURIComponent(encoded.trim());
    return isHeaderText(value) ? `${name}=${value}` : undefined;
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** Which proxies are believed about whom they speak for: how many stand before the server, or their networks. */
export function proxies(declaration: Declaration<null>): Setting<string | null> {
  return {
    ...settingOf(
      declaration,
      'a number of proxies from 0 to 32, or addresses and networks with commas between them',
    ),
    parse(text) {
      if (/^\d{1,2}$/.test(text)) return Number(text) <= MAX_PROXIES ? text : undefined;
      return text.split(',').every((part) => isNetwork(part.trim())) ? text : undefined;
    },
  };
}

/** How many processes serve: a number, or as many as there are cores. */
export function workers(declaration: Declaration<number>): Setting<number | 'auto'> {
  return {
    ...settingOf(declaration, `auto, or a whole number from 1 to ${MAX_WORKERS}`),
    yamlType: 'number-or-text',
    parse(text) {
      if (text.toLowerCase() === 'auto') return 'auto';
      return /^\d+$/.test(text) ? within({ min: 1, max: MAX_WORKERS }, Number(text)) : undefined;
    },
  };
}

/** More than the cores of any machine that one store would keep up with. */
const MAX_WORKERS = 256;

/** More proxies in a row than anybody has. */
const MAX_PROXIES = 32;

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** The base URL of an HTTP API, to which paths are appended. */
export function url<Default extends string | null>(
  declaration: Declaration<Default>,
): Setting<string | Default> {
  return {
    ...settingOf(declaration, BASE_URL),
    disclosure: 'without-password',
    parse: (text) => (isBaseUrl(text) ? text : undefined),
  };
}

/** The URL of one resource, whose query may hold a key. */
export function serverUrl(declaration: Declaration<null>): Setting<string | null> {
  return {
    ...settingOf(declaration, SERVER_URL),
    disclosure: 'without-query',
    parse: (text) => (isServerUrl(text) ? text : undefined),
  };
}

export function databaseUrl(declaration: Declaration<string>): Setting<string> {
  return {
    ...settingOf(
      declaration,
      'sqlite:<path> (as in sqlite:data/parley.db or sqlite:/srv/parley.db), memory:, redis://[user:password@]host[:port][/database] (rediss:// with TLS), or postgres://user:password@host:5432/database, the forms this version knows',
    ),
    disclosure: 'without-password',
    parse: (text) =>
      DATABASE_URLS.some((form) => form.test(text)) || isPostgresUrl(text) ? text : undefined,
  };
}

export function redisUrl(declaration: Declaration<null>): Setting<string | null> {
  return {
    ...settingOf(declaration, 'redis://[user:password@]host[:port][/database] (rediss:// with TLS)'),
    disclosure: 'without-password',
    parse: (text) => (REDIS_URL.test(text) ? text : undefined),
  };
}

/** What comes after the hosts is looked at by whoever connects. */
const REDIS_URL = /^rediss?:\/\/[^\s\p{Cc}/?#]+([/?][^\s\p{Cc}#]*)?$/u;

const DATABASE_URLS = [
  /^memory:$/,
  // "sqlite://data" and "sqlite::memory:" mean different things elsewhere; refused before one is taken for a path.
  /^sqlite:(?!\/\/|:)\P{Cc}+$/u,
  REDIS_URL,
];

/** A password belongs before the host, where it is known for one and never shown. */
function isPostgresUrl(text: string): boolean {
  if (!/^postgres(ql)?:\/\/[^\s\\]+$/.test(text)) return false;
  const url = URL.parse(text);
  return url !== null && !url.searchParams.has('password');
}

/** An address or host name to listen on. */
export function host<Default extends string | null>(
  declaration: Declaration<Default>,
): Setting<string | Default> {
  return {
    ...settingOf(declaration, 'an IP address (without brackets) or a host name'),
    parse: (text) => (isIP(text) !== 0 || HOST_NAME.test(text) ? text : undefined),
  };
}

/** Origins of web pages as browsers write them, with commas between them; or `*` alone. */
export function origins(declaration: Declaration<readonly string[]>): Setting<readonly string[]> {
  return {
    ...settingOf(declaration, 'origins, such as https://app.example.com, with commas between them, or "*"'),
    yamlType: 'list',
    parse(text) {
      if (text === '*') return Object.freeze([text]);
      const given = text.split(',').map((part) => originOf(part.trim()));
      const known = given.filter((origin) => origin !== undefined);
      return known.length === given.length ? Object.freeze([...new Set(known)]) : undefined;
    },
  };
}

/** In the one form in which browsers send it, or undefined. Applications in a shell have schemes of their own. */
function originOf(text: string): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/\\?#@*]+\/?$/i.test(text) || !URL.canParse(text)) return undefined;
  const { origin, protocol, host } = new URL(text);
  return origin === 'null' ? `${protocol}//${host.toLowerCase()}` : origin;
}

/** A provider's name. */
export function name(declaration: Declaration<null>): Setting<string | null> {
  return {
    ...settingOf(declaration, `a provider's name: ${PROVIDER_NAME}`),
    parse: (text) => (isProviderName(text.toLowerCase()) ? text.toLowerCase() : undefined),
  };
}

/** Providers' names, separated by commas, without repetitions. */
export function names(declaration: Declaration<readonly string[]>): Setting<readonly string[]> {
  return {
    ...settingOf(declaration, `providers' names with commas between them, each ${PROVIDER_NAME}`),
    default: Object.freeze([...declaration.default]),
    yamlType: 'list',
    parse(text) {
      const parts = text.split(',').map((part) => part.trim().toLowerCase());
      const given = new Set(parts.filter((part) => part !== ''));
      return [...given].every(isProviderName) ? Object.freeze([...given]) : undefined;
    },
  };
}

/** Makes a setting one that only a variable can hold, because the YAML is read too late for it. */
export function variableOnly<Value extends SettingValue>(setting: Setting<Value>): Setting<Value> {
  return { ...setting, variableOnly: true };
}

export const PROVIDER_NAME = 'a letter or digit, then letters, digits, "_" or "-"';

export function isProviderName(text: string): boolean {
  return /^[a-z0-9][a-z0-9_-]*$/.test(text);
}

export const BASE_URL = 'an http or https URL without query and fragment';

export function isBaseUrl(text: string): boolean {
  return /^https?:\/\/[^\s\\?#]+$/i.test(text) && URL.canParse(text);
}

export const SERVER_URL = 'an http or https URL without user, password and fragment';

export function isServerUrl(text: string): boolean {
  const url = /^https?:\/\/[^\s\\#]+$/i.test(text) ? URL.parse(text) : null;
  return url !== null && url.username === '' && url.password === '';
}

export const HEADER_TEXT = 'text that fits an HTTP header: one line in Latin-1';

export function isHeaderText(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}

const HOST_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i;

function settingOf<Default>(declaration: Declaration<Default>, expects: string) {
  const { default: value, description } = declaration;
  return {
    default: value,
    description,
    expects,
    disclosure: 'whole',
    yamlType: 'text',
    variableOnly: false,
  } as const;
}

function within({ min, max }: Bounds, value: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}
