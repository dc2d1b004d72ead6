/**
 * The YAML's `providers`: OpenAI-compatible servers, checked entry by entry and field by field. Whether other
 * settings name them rightly is checked in `provider-names.ts`.
 */

import { type Static, Type } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import type { Problem } from './config-error.ts';
import { nearestName } from './nearest-name.ts';
import { BASE_URL, HEADER_TEXT, isBaseUrl, isHeaderText, isProviderName, PROVIDER_NAME } from './setting.ts';
import type { Variables } from './variables.ts';
import { expandVariables, isPlainObject, shownName, type YamlFile } from './yaml-file.ts';

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
}

/** Names that Parley gives itself, and the word for "nobody has chosen". */
const RESERVED_NAMES = new Set(['openai', 'openrouter', 'demo', 'default']);
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
  },
  { additionalProperties: false },
);

const providerListSchema = Type.Array(providerSchema);

export interface ProviderList {
  readonly providers: readonly ProviderConfig[];
  /** The names of all entries, those with problems elsewhere included. */
  readonly names: readonly string[];
  /** False if an entry has no usable name, so that a name missing here may have been meant. */
  readonly complete: boolean;
}

/** Reads the list, and reports every problem of every entry. */
export function readProviderList(file: YamlFile, variables: Variables, problems: Problem[]): ProviderList {
  const report = (setting: string, problem: string) =>
    problems.push({ setting, source: file.source, problem });
  const given = file.values.get('providers') ?? [];
  if (!Array.isArray(given)) {
    report('providers', 'must be a list');
    return { providers: [], names: [], complete: false };
  }
  const unset = new Map<string, string>();
  const entries = given.map((entry, index) => prepareEntry(entry, `providers[${index}]`, variables, unset));
  for (const [place, problem] of unset) report(place, problem);
  for (const { place, problem } of faultsOf(entries)) if (!unset.has(place)) report(place, problem);

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

/**
 * An entry with its variables put in, its empty fields left out and its name in lower case. Reaches as deep
 * as the schema and no deeper, because aliases can make YAML circular.
 */
function prepareEntry(
  entry: unknown,
  place: string,
  variables: Variables,
  unset: Map<string, string>,
): unknown {
  if (!isPlainObject(entry)) return entry;
  const expand = (value: unknown, at: string): unknown => {
    if (typeof value !== 'string') return value;
    const { text, problem } = expandVariables(value, variables);
    if (problem !== undefined) unset.set(at, problem);
    return text.trim();
  };
  const prepared = new Map<string, unknown>();
  for (const [field, value] of Object.entries(entry)) {
    const at = `${place}.${shownName(field)}`;
    if (Array.isArray(value)) {
      prepared.set(
        field,
        value.map((element, index) => expand(element, `${at}[${index}]`)),
      );
    } else if (isPlainObject(value)) {
      const pairs = Object.entries(value).map(([key, inner]) => [
        key,
        expand(inner, `${at}.${shownName(key)}`),
      ]);
      prepared.set(field, Object.fromEntries(pairs));
    } else {
      const expanded = expand(value, at);
      if (expanded === null || expanded === '') continue;
      prepared.set(
        field,
        field === 'name' && typeof expanded === 'string' ? expanded.toLowerCase() : expanded,
      );
    }
  }
  return Object.fromEntries(prepared);
}

/** What the schema finds wrong, with places in the words of the YAML. */
function faultsOf(entries: readonly unknown[]): { place: string; problem: string }[] {
  const fields = Object.keys(providerSchema.properties);
  return everyError(entries).flatMap((error) => {
    const place = placeOf(error.instancePath);
    if (error.keyword === 'additionalProperties') {
      return error.params.additionalProperties.map((name) => {
        const nearest = nearestName(name, fields);
        const suggestion =
          nearest === undefined ? `known are ${fields.join(', ')}` : `did you mean "${nearest}"?`;
        return {
          place: `${place}.${shownName(name)}`,
          problem: `is not a field of a provider; ${suggestion}`,
        };
      });
    }
    if (error.keyword === 'required') {
      return error.params.requiredProperties.map((name) => ({
        place: `${place}.${name}`,
        problem: 'is missing',
      }));
    }
    // "boolean" is the unknown field once more, as a value that no schema allows.
    return error.keyword === 'boolean' ? [] : [{ place, problem: error.message }];
  });
}

/** The errors of the whole list. By default typebox stops at a few, and the setting is the whole process's. */
function everyError(entries: readonly unknown[]): TLocalizedValidationError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: Number.POSITIVE_INFINITY });
  try {
    return Value.Errors(providerListSchema, entries);
  } finally {
    Settings.Set({ maxErrors });
  }
}

/** A JSON pointer into the list as a path: `/0/headers/X-Team` is `providers[0].headers.X-Team`. */
function placeOf(pointer: string): string {
  const steps = pointer.split('/').slice(1);
  const path = steps.map((step) =>
    /^\d+$/.test(step) ? `[${step}]` : `.${shownName(step.replaceAll('~1', '/').replaceAll('~0', '~'))}`,
  );
  return `providers${path.join('')}`;
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
  });
}
