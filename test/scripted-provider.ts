/** A provider that plays a script in the test's own process: events, failures, and waits that a signal ends. */

import {
  type Continuation,
  type Prompt,
  type Provider,
  ProviderError,
  type ProviderErrorDetails,
  type ProviderEvent,
  type ProviderFailure,
} from '../src/providers/provider.ts';

export type Step =
  | string
  | ProviderEvent
  | { fail: ProviderFailure; details?: ProviderErrorDetails }
  /** Waits until the promise resolves or the signal aborts. */
  | { until: Promise<unknown> };

export interface ScriptedProvider extends Provider {
  readonly prompts: Prompt[];
}

export const never: Step = { until: new Promise(() => undefined) };

/** What the provider says of itself, where its name is not enough. */
export interface ScriptedIdentity {
  name: string;
  /** Left out, it cannot go on with a given text. */
  continuation?: Continuation;
  contextTokens?: number | null;
  models?: readonly string[];
}

/** Plays one script per call, the last one for all further calls. A string is a text delta. */
export function scriptedProvider(
  identity: string | ScriptedIdentity,
  ...scripts: readonly Step[][]
): ScriptedProvider {
  const prompts: Prompt[] = [];
  const given: ScriptedIdentity = typeof identity === 'string' ? { name: identity } : identity;
  const { name, continuation = 'none', contextTokens = null, models = [] } = given;
  return {
    name,
    prompts,
    defaultModel: `${name}-model`,
    models,
    modelsHaveSlashes: false,
    contextTokens,
    continuation,
    stream,
    close: async () => undefined,
  };

  async function* stream(prompt: Prompt, signal: AbortSignal): AsyncGenerator<ProviderEvent> {
    const script = scripts[Math.min(prompts.length, scripts.length - 1)] ?? [];
    prompts.push(prompt);
    for (const step of script) {
      signal.throwIfAborted();
      if (typeof step === 'string') yield { type: 'text-delta', text: step };
      else if ('type' in step) yield step;
      else if ('fail' in step) throw new ProviderError(step.fail, step.details);
      else await abortable(step.until, signal);
    }
    if (!script.some((step) => typeof step === 'object' && 'type' in step && step.type === 'finish')) {
      yield finish(prompt.model);
    }
  }
}

export function finish(model: string): ProviderEvent {
  return { type: 'finish', reason: 'stop', usage: null, model };
}

function abortable(promise: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return Promise.race([promise, aborted]);
}
