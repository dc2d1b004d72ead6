/**
 * The YAML's `providers`: OpenAI-compatible servers, checked entry by entry and field by field. Whether other
 * settings name them rightly is checked in `provider-names.ts`.
 */

import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Problem } from './config-error.ts';
import { BASE_URL, HEADER_TEXT, isBaseUrl, isHeaderText, isProviderName, PROVIDER_NAME } from './setting.ts';
import type { Variables } from './variables.ts';
import { type EntryKind, type Report, readEntries } from './yaml-entries.ts';
import { isPlainObject, type YamlFile } from './yaml-file.ts';

/** An OpenAI-compatible server. */
export interface ProviderConfig {
  /** In lower case, unique. */
  readonly name: string;
  readonly baseUrl: string;
  readonly apiKey: string | null;
  /** For prompts that name none; null if the caller must choose. */
  readonly model: string | null;
  readonly models: readonly string[];
  /** Sent with every request; may hold secrets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly contextTokens: number | null;
  /** How its models go on with an answer that another has begun. */
  readonly continuation: (typeof continuations)[number];
}

const continuations = ['prefill', 'instruct', 'none'] as const;

/** Names that Parley gives itself, and the word for "nobody has chosen". */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(['openai', 'openrouter', 'demo', 'default']);
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const headerValue = Type.Refine(Type.String(), isHeaderText, () => `must be ${HEADER_TEXT}`);

/** The fields of an entry, with the descriptions of the README. */
export const providerSchema = Type.Object(
  {
    name: Type.Refine(
      Type.String({ description: 'Name of an OpenAI-compatible server, in lower case.' }),
      (name) => isProviderName(name) && !RESERVED_NAMES.has(name),
      (name) => (isProviderName(name) ? 'is a name that Parley uses itself' : `must be ${PROVIDER_NAME}`),
    ),
    base_url: Type.Refine(
      Type.String({ description: 'Where its API is: the URL before `/chat/completions`.' }),
      isBaseUrl,
      () => `must be ${BASE_URL}`,
    ),
    api_key: Type.Optional(
      Type.Refine(
        Type.String({ description: 'Key sent as a bearer token.' }),
        isHeaderText,
        () => `must be ${HEADER_TEXT}`,
      ),
    ),
    model: Type.Optional(Type.String({ description: 'Model for requests that name none.' })),
    models: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { description: 'Models shown in `GET /providers`.' }),
    ),
    headers: Type.Optional(
      Type.Refine(
        Type.Record(Type.String(), headerValue, { description: 'Headers sent with every request.' }),
        (headers) => Object.keys(headers).every((name) => HEADER_NAME.test(name)),
        () => "must have HTTP headers' names as its names",
      ),
    ),
    context_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Tokens that its default model takes.',
      }),
    ),
    continue: Type.Optional(
      Type.Refine(
        Type.String({
          description:
            'How its models go on with an answer begun elsewhere: `prefill`, `instruct` or `none` (the default).',
        }),
        (text) => continuationOf(text) !== undefined,
        () => `must be one of ${continuations.join(', ')}`,
      ),
    ),
  },
  { additionalProperties: false },
);

const providerKind: EntryKind = { schema: providerSchema, noun: 'a provider', nameField: 'name' };

export interface ProviderList {
  readonly providers: readonly ProviderConfig[];
  /** The names of all entries, those with problems elsewhere included. */
  readonly names: readonly string[];
  /** False if an entry has no usable name, so that a name missing here may have been meant. */
  readonly complete: boolean;
}

/** A provider's name where the operator has written it. */
export interface NamedProvider {
  /** The setting, or the place in the file. */
  readonly setting: string;
  readonly source: string;
  /** In lower case. */
  readonly name: string;
}

/** Reads the list, and reports every problem of every entry. */
export function readProviderList(file: YamlFile, variables: Variables, problems: Problem[]): ProviderList {
  const report: Report = (setting, problem) => problems.push({ setting, source: file.source, problem });
  const given = file.values.get('providers') ?? [];
  if (!Array.isArray(given)) {
    report('providers', 'must be a list');
    return { providers: [], names: [], complete: false };
  }
  const entries = readEntries({ place: 'providers', entries: given }, providerKind, variables, report);

  const providers: ProviderConfig[] = [];
  const names = new Set<string>();
  let complete = file.readable;
  for (const [index, entry] of entries.entries()) {
    const name = isPlainObject(entry) ? entry['name'] : undefined;
    if (typeof name !== 'string' || !isProviderName(name)) {
      complete = false;
      continue;
    }
    if (names.has(name)) report(`providers[${index}].name`, `"${name}" is the name of an entry before`);
    names.add(name);
    if (Value.Check(providerSchema, entry)) providers.push(providerConfig(entry));
  }
  return { providers: Object.freeze(providers), names: [...names], complete };
}

function providerConfig(entry: Static<typeof providerSchema>): ProviderConfig {
  return Object.freeze({
    name: entry.name,
    baseUrl: entry.base_url,
    apiKey: entry.api_key ?? null,
    model: entry.model ?? null,
    models: Object.freeze(entry.models ?? []),
    headers: Object.freeze(entry.headers ?? {}),
    contextTokens: entry.context_tokens ?? null,
    continuation: continuationOf(entry.continue ?? 'none') ?? 'none',
  });
}

function continuationOf(text: string): ProviderConfig['continuation'] | undefined {
  return continuations.find((continuation) => continuation === text);
}
