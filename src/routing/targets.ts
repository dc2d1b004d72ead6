/**
 * Which targets a turn tries, in which order. The choice is made by the request, else the session, else the
 * server; a model may be written `provider/model`, and may be the name of a route. Targets of a provider that an
 * operator has taken out of service are none. A session stays with the target that served it last, as long as that is
 * healthy: its prompt is in that target's cache.
 */

import type { ProviderSource, ServedBy } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Provider, Providers } from '../providers/provider.ts';
import { mayComeFirst, type NamedRoute, orderOf, type WeightedTarget } from './named-route.ts';
import type { Target, Targets } from './target.ts';

/** What a request or a session says about who should answer. */
export interface Choice {
  provider: string | null;
  model: string | null;
}

export interface SessionChoice extends Choice {
  fallbackProviders: readonly string[] | null;
  /** The target that answered last, unless the choice was changed since. */
  servedBy: ServedBy | null;
}

export interface TargetSelection {
  /**
   * Throws `provider_not_found` or `model_required` where the request, the session or the server's own list
   * names something that cannot be asked, `provider_out_of_service` where all that they name is.
   */
  select(request: Choice, session: SessionChoice): Targets;
  /**
   * The model that a turn of the session would ask first, or would if it were in service. Throws as `select` does
   * for what cannot be asked.
   */
  modelOf(session: SessionChoice): string;
  /** Checks the names of a request or a session without choosing; throws `provider_not_found`. */
  check(choice: Partial<SessionChoice>): void;
}

/** A target of a named route, as the operator wrote it. */
export interface RouteTarget extends WeightedTarget {
  provider: string;
  /** Null = the provider's default. */
  model: string | null;
  contextTokens: number | null;
}

export interface TargetSelectionOptions {
  providers: Providers;
  /** Names (or `provider/model`) tried where a session has no list of its own. */
  fallbacks: readonly string[];
  routes: readonly NamedRoute<RouteTarget>[];
  /** Whether no operator has taken the provider of that name out of service. */
  isInService(provider: string): boolean;
  /** Whether requests are sent to the target at the moment. */
  isHealthy(target: ServedBy): boolean;
  /** Between 0 and 1, for the weights of routes. */
  random: () => number;
}

/** Throws `provider_not_found` or `model_required` for a route that cannot be asked. */
export function createTargetSelection(options: TargetSelectionOptions): TargetSelection {
  const { providers, fallbacks, isInService, isHealthy, random } = options;
  const routes = new Map(
    options.routes.map(({ name, targets }) => [
      name,
      { name, targets: targets.map((one) => ({ ...routeTarget(one), weight: one.weight })) },
    ]),
  );
  return { select, modelOf, check };

  function select(request: Choice, session: SessionChoice): Targets {
    const [first, ...others] = listOf(request, session, isInService);
    if (first !== undefined) return [first, ...others];
    const [stopped] = listOf(request, session, () => true);
    throw new AppError('provider_out_of_service', { provider: stopped?.provider.name });
  }

  function modelOf(session: SessionChoice): string {
    const [first] = [...listOf(NOBODY, session, isInService), ...listOf(NOBODY, session, () => true)];
    if (first === undefined) throw new Error('a session has no target');
    return first.model;
  }

  /** The targets of those providers, in the order in which a turn tries them. */
  function listOf(
    request: Choice,
    session: SessionChoice,
    isUsed: (provider: string) => boolean,
  ): readonly Target[] {
    const isTarget = ({ provider }: Target) => isUsed(provider.name);
    const requested = routeOf(request);
    const route = requested ?? (isNamed(request) ? undefined : routeOf(session));
    if (route !== undefined) {
      return routed(route, requested === undefined ? 'session' : 'override', session, isTarget);
    }
    const targets = withFallbacks(choose(request, session), session).filter(isTarget);
    return isNamed(request) ? targets : withFirst(lastServed(targets, session.servedBy), targets);
  }

  /** The targets of a route. A weight counts among those that are used. */
  function routed(
    route: NamedRoute<Target & WeightedTarget>,
    source: ProviderSource,
    session: SessionChoice,
    isTarget: (target: Target) => boolean,
  ): readonly Target[] {
    const targets = orderOf({ ...route, targets: route.targets.filter(isTarget) }, random);
    const last = lastServed(targets, session.servedBy);
    return withFirst(last, targets).map((target, index): Target => {
      // One whose place would be another's, were that in service, is there in its stead.
      const isChosen = index === 0 && (target === last || mayComeFirst(route, target));
      return { ...target, source: isChosen ? source : 'fallback' };
    });
  }

  /** A route stands where a model is named; a model beside a provider is that provider's. */
  function routeOf({ provider, model }: Choice) {
    return provider === null && model !== null ? routes.get(model) : undefined;
  }

  function routeTarget({ provider: name, model, contextTokens }: RouteTarget): Target {
    const one = target(providers.get(name), model, 'fallback');
    return { ...one, contextTokens: contextTokens ?? one.contextTokens };
  }

  function withFallbacks(chosen: Target, session: SessionChoice): readonly Target[] {
    const targets = [chosen];
    for (const text of session.fallbackProviders ?? fallbacks) {
      const { provider, model } = parse(text);
      const isThere = targets.some((one) => one.provider === provider && (model ?? one.model) === one.model);
      if (!isThere) targets.push(target(provider, model, 'fallback'));
    }
    return targets;
  }

  /** The one of the targets with which the session stays; undefined if there is none. */
  function lastServed<Element extends Target>(
    targets: readonly Element[],
    servedBy: ServedBy | null,
  ): Element | undefined {
    const last = targets.find(
      ({ provider, model }) => provider.name === servedBy?.provider && model === servedBy.model,
    );
    return servedBy !== null && last !== undefined && isHealthy(servedBy) ? last : undefined;
  }

  function choose(request: Choice, session: SessionChoice): Target {
    const sessionTarget = named(session, null);
    if (request.provider !== null) {
      const provider = providers.get(request.provider);
      // A session's model belongs to the session's provider.
      const inherited = provider === sessionTarget?.provider ? sessionTarget.model : null;
      return target(provider, request.model ?? inherited, 'override');
    }
    const usual = sessionTarget?.provider ?? providers.default;
    const requested = named(request, usual);
    if (requested !== null) return target(requested.provider, requested.model, 'override');
    if (sessionTarget !== null) return target(sessionTarget.provider, sessionTarget.model, 'session');
    return target(providers.default, null, 'default');
  }

  /**
   * What a choice names, or null if it names nothing, or a route. A model without a provider is looked up as
   * `provider/model`; otherwise it belongs to `usual`, else to the default provider.
   */
  function named(
    choice: Choice,
    usual: Provider | null,
  ): { provider: Provider; model: string | null } | null {
    if (choice.provider !== null) return { provider: providers.get(choice.provider), model: choice.model };
    if (choice.model === null || routes.has(choice.model)) return null;
    const owner = usual ?? providers.default;
    return owner.modelsHaveSlashes
      ? { provider: owner, model: choice.model }
      : (split(choice.model) ?? { provider: owner, model: choice.model });
  }

  /** `provider/model` where the part before the first slash is a provider's name; null otherwise. */
  function split(text: string): { provider: Provider; model: string } | null {
    const slash = text.indexOf('/');
    if (slash <= 0) return null;
    const name = text.slice(0, slash).trim().toLowerCase();
    const provider = providers.all.find((candidate) => candidate.name === name);
    const model = text.slice(slash + 1);
    return provider === undefined || model === '' ? null : { provider, model };
  }

  /** A fallback: a provider's name, or `provider/model`. */
  function parse(text: string): { provider: Provider; model: string | null } {
    return split(text) ?? { provider: providers.get(text), model: null };
  }

  function check(choice: Partial<SessionChoice>): void {
    if (typeof choice.provider === 'string') providers.get(choice.provider);
    for (const text of choice.fallbackProviders ?? []) parse(text);
  }
}

const NOBODY: Choice = { provider: null, model: null };

function withFirst<Element>(first: Element | undefined, others: readonly Element[]): readonly Element[] {
  return first === undefined ? others : [first, ...others.filter((other) => other !== first)];
}

function isNamed({ provider, model }: Choice): boolean {
  return provider !== null || model !== null;
}

function target(provider: Provider, model: string | null, source: ProviderSource): Target {
  const name = model ?? provider.defaultModel;
  if (name === null) throw new AppError('model_required', { provider: provider.name });
  // What the operator declares of a provider's context holds for its default model.
  const contextTokens = name === provider.defaultModel ? provider.contextTokens : null;
  return { provider, model: name, source, contextTokens };
}
