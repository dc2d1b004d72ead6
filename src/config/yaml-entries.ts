/**
 * The entries of the YAML's lists: variables put in, then checked field by field, every problem of every entry with
 * its place. What the entries mean together is checked by the list they belong to.
 */

import { type TObject, Type } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import { nearestName } from './nearest-name.ts';
import type { Variables } from './variables.ts';
import { expandVariables, isPlainObject, shownName } from './yaml-file.ts';

export interface EntryKind {
  readonly schema: TObject;
  /** What an entry is, to follow "is not a field of". */
  readonly noun: string;
  /** The field that holds a provider's name, which is taken in lower case. */
  readonly nameField: string;
}

/** Takes the place in the file, such as `providers[0].base_url`, and what is wrong there. */
export type Report = (place: string, problem: string) => void;

/**
 * The entries of the list at this place as their schema wants them; those with problems are returned as well, and
 * fail the schema. Empty fields are left out.
 */
export function readEntries(
  list: { place: string; entries: readonly unknown[] },
  kind: EntryKind,
  variables: Variables,
  report: Report,
): unknown[] {
  const unset = new Map<string, string>();
  const entries = list.entries.map((entry, index) =>
    prepareEntry(entry, `${list.place}[${index}]`, kind.nameField, variables, unset),
  );
  for (const [place, problem] of unset) report(place, problem);
  for (const { place, problem } of faultsOf(entries, list.place, kind)) {
    if (!unset.has(place)) report(place, problem);
  }
  return entries;
}

/**
 * An entry with its variables put in, its empty fields left out and its name in lower case. Reaches as deep
 * as the schemas and no deeper, because aliases can make YAML circular.
 */
function prepareEntry(
  entry: unknown,
  place: string,
  nameField: string,
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
      const isName = field === nameField && typeof expanded === 'string';
      prepared.set(field, isName ? expanded.toLowerCase() : expanded);
    }
  }
  return Object.fromEntries(prepared);
}

/** What the schema finds wrong, with places in the words of the YAML. */
function faultsOf(
  entries: readonly unknown[],
  list: string,
  { schema, noun }: EntryKind,
): { place: string; problem: string }[] {
  return everyError(schema, entries).flatMap((error) => {
    const place = list + pathOf(error.instancePath);
    if (error.keyword === 'additionalProperties') {
      const { fields, what } = objectAt(schema, noun, error.instancePath);
      return error.params.additionalProperties.map((name) => {
        const nearest = nearestName(name, fields);
        const suggestion =
          nearest === undefined ? `known are ${fields.join(', ')}` : `did you mean "${nearest}"?`;
        return {
          place: `${place}.${shownName(name)}`,
          problem: `is not a field of ${what}; ${suggestion}`,
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

/** What an entry may have, or an object within it, and what that is called. */
function objectAt(schema: TObject, noun: string, pointer: string): { fields: string[]; what: string } {
  const [, , inner] = pointer.split('/');
  const within = inner === undefined ? undefined : schema.properties[inner];
  if (inner === undefined || within === undefined || !('properties' in within)) {
    return { fields: Object.keys(schema.properties), what: noun };
  }
  return { fields: Object.keys(within.properties as object), what: `"${inner}"` };
}

/** The errors of all entries. By default typebox stops at a few, and the setting is the whole process's. */
function everyError(schema: TObject, entries: readonly unknown[]): TLocalizedValidationError[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: Number.POSITIVE_INFINITY });
  try {
    return Value.Errors(Type.Array(schema), entries);
  } finally {
    Settings.Set({ maxErrors });
  }
}

/** A JSON pointer into the list as a path: `/0/headers/X-Team` is `[0].headers.X-Team`. */
function pathOf(pointer: string): string {
  const steps = pointer.split('/').slice(1);
  const path = steps.map((step) =>
    /^\d+$/.test(step) ? `[${step}]` : `.${shownName(step.replaceAll('~1', '/').replaceAll('~0', '~'))}`,
  );
  return path.join('');
}
