/**
 * The YAML's `routes`: targets put together under a name, checked entry by entry and field by field. Whether their
 * providers exist is checked in `provider-names.ts`.
 */

import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Problem } from './config-error.ts';
import type { NamedProvider, ProviderConfig } from './provider-list.ts';
import { isProviderName, PROVIDER_NAME } from './setting.ts';
import type { Variables } from './variables.ts';
import { type EntryKind, type Report, readEntries } from './yaml-entries.ts';
import { isPlainObject, type YamlFile } from './yaml-file.ts';

/** A named route. */
export interface RouteConfig {
  /** Unique, its case included; stands where a model's name may stand. */
  readonly name: string;
  /** Never empty. If any has a weight, at least one weight is above 0. */
  readonly targets: readonly {
    /** A configured provider, in lower case. */
    readonly provider: string;
    /** Null = the provider's default, which there is. */
    readonly model: string | null;
    readonly weight: number | null;
    /** Null = as the provider says. */
    readonly contextTokens: number | null;
  }[];
}

/** As long as a model's name may be in a request. */
const LONGEST_NAME = 256;

/** The fields of a target, with the descriptions of the README. */
export const routeTargetSchema = Type.Object(
  {
    provider: Type.Refine(
      Type.String({
        description: 'Provider of a target of the route, which is used like a model of that name.',
      }),
      isProviderName,
      () => `must be a provider's name: ${PROVIDER_NAME}`,
    ),
    model: Type.Optional(
      Type.Refine(
        Type.String({ description: "Model of the target; without it, the provider's own default." }),
        isModelName,
        () => 'must be text on one line',
      ),
    ),
    weight: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Share of the requests that try this target first; without weights, the first is.',
      }),
    ),
    context_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Tokens that the model of the target takes.',
      }),
    ),
  },
  { additionalProperties: false },
);

const targetKind: EntryKind = { schema: routeTargetSchema, noun: 'a target', nameField: 'provider' };

/** A target as far as it can be read, whatever problems it has elsewhere. */
interface WrittenTarget {
  /** Such as `routes.fast[0]`. */
  readonly place: string;
  readonly provider: string;
  readonly hasModel: boolean;
}

export interface RouteList {
  readonly routes: readonly RouteConfig[];
  /** Every provider that a target names, those of targets with problems elsewhere included. */
  readonly named: readonly NamedProvider[];
}

/**
 * Reads the routes, and reports every problem of every target but those of providers that do not exist.
 *
 * @param providers the entries of the YAML's list; other providers have a default model
 */
export function readRouteList(
  file: YamlFile,
  variables: Variables,
  providers: readonly ProviderConfig[],
  problems: Problem[],
): RouteList {
  const report: Report = (setting, problem) => problems.push({ setting, source: file.source, problem });
  const given = file.values.get('routes') ?? {};
  if (!isPlainObject(given)) {
    report('routes', 'must hold names and lists of targets, as in "fast: [{provider: openai}]"');
    return { routes: [], named: [] };
  }
  const withoutDefault = new Set(providers.filter(({ model }) => model === null).map(({ name }) => name));
  const routes: RouteConfig[] = [];
  const named: NamedProvider[] = [];
  for (const [name, list] of Object.entries(given)) {
    const place = `routes.${shownRouteName(name)}`;
    if (!isRouteName(name)) report(place, `must have a name ${ROUTE_NAME}`);
    if (!Array.isArray(list) || list.length === 0) {
      report(place, 'must be a list of one target or more');
      continue;
    }
    const entries = readEntries({ place, entries: list }, targetKind, variables, report);
    for (const target of writtenTargets(entries, place)) {
      named.push({ setting: `${target.place}.provider`, source: file.source, name: target.provider });
      if (target.hasModel || !withoutDefault.has(target.provider)) continue;
      report(`${target.place}.model`, `is missing, and "${target.provider}" has no default model`);
    }
    const targets = entries.filter((entry) => Value.Check(routeTargetSchema, entry));
    if (hasUselessWeights(entries)) report(place, 'has weights, but none above 0');
    routes.push(routeConfig(name, targets));
  }
  return { routes: Object.freeze(routes), named };
}

const ROUTE_NAME = `of 1 to ${LONGEST_NAME} characters on one line, without space around it`;

function isRouteName(name: string): boolean {
  return name !== '' && name.length <= LONGEST_NAME && name === name.trim() && isModelName(name);
}

function isModelName(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}

/** The name as a problem may show it: up to the first character that models' names do not usually have. */
function shownRouteName(name: string): string {
  const shown = /^[\w./:@-]{0,60}/.exec(name)?.[0] ?? '';
  return shown === name && name !== '' ? name : `${shown}…`;
}

function writtenTargets(entries: readonly unknown[], place: string): WrittenTarget[] {
  return entries.flatMap((entry, index) => {
    const provider = isPlainObject(entry) ? entry['provider'] : undefined;
    if (typeof provider !== 'string' || !isProviderName(provider)) return [];
    const hasModel = isPlainObject(entry) && 'model' in entry;
    return [{ place: `${place}[${index}]`, provider, hasModel }];
  });
}

function hasUselessWeights(entries: readonly unknown[]): boolean {
  const weights = entries.flatMap((entry) => {
    return isPlainObject(entry) && 'weight' in entry ? [entry['weight']] : [];
  });
  return weights.length > 0 && weights.every((weight) => weight === 0);
}

function routeConfig(name: string, targets: readonly Static<typeof routeTargetSchema>[]): RouteConfig {
  const configured = targets.map((target) =>
    Object.freeze({
      provider: target.provider,
      model: target.model ?? null,
      weight: target.weight ?? null,
      contextTokens: target.context_tokens ?? null,
    }),
  );
  return Object.freeze({ name, targets: Object.freeze(configured) });
}
