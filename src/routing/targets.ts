/**
 * Which targets a turn tries, in which order: the chosen one first, then the fallbacks. The choice is made by
 * the request, else the session, else the server; a model may be written `provider/model`.
 */

import type { ProviderSource } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Provider, Providers } from '../providers/provider.ts';

export interface Target {
  provider: Provider;
  model: string;
  /** Why this target: what chose it, or that another failed. */
  source: ProviderSource;
}

/** What a request or a session says about who should answer. */
export interface Choice {
  provider: string | null;
  model: string | null;
}

export interface SessionChoice extends Choice {
  fallbackProviders: readonly string[] | null;
}

/** The route of a turn, made of its targets in order. The first is the chosen one. */
export type Targets = readonly [Target, ...Target[]];

export interface TargetSelection {
  /**
   * Throws `provider_not_found` or `model_required` where the request, the session or the server's own list
   * names something that cannot be asked.
   */
  select(request: Choice, session: SessionChoice): Targets;
  /** Checks the names of a request or a session without choosing; throws `provider_not_found`. */
  check(choice: Partial<SessionChoice>): void;
}

/**
 * @param providers the configured providers
 * @param serverFallbacks names (or `provider/model`) tried where a session has no list of its own
 */
export function createTargetSelection(
  providers: Providers,
  serverFallbacks: readonly string[],
): TargetSelection {
  return { select, check };

  function select(request: Choice, session: SessionChoice): Targets {
    const chosen = choose(request, session);
    const targets: [Target, ...Target[]] = [chosen];
    for (const text of session.fallbackProviders ?? serverFallbacks) {
      const { provider, model } = parse(text);
      if (
        targets.some((target) => target.provider === provider && (model ?? target.model) === target.model)
      ) {
        continue;
      }
      targets.push(target(provider, model, 'fallback'));
    }
    return targets;
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
   * What a choice names, or null if it names nothing. A model without a provider is looked up as
   * `provider/model`; otherwise it belongs to `usual`, else to the default provider.
   */
  function named(
    choice: Choice,
    usual: Provider | null,
  ): { provider: Provider; model: string | null } | null {
    if (choice.provider !== null) return { provider: providers.get(choice.provider), model: choice.model };
    if (choice.model === null) return null;
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

function target(provider: Provider, model: string | null, source: ProviderSource): Target {
  const name = model ?? provider.defaultModel;
  if (name === null) throw new AppError('model_required', { provider: provider.name });
  return { provider, model: name, source };
}
