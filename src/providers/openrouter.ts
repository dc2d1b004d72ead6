/**
 * OpenRouter: one key for the models of many makers. Its options `models` and `provider` pass through, usage with
 * its cost comes without being asked for, errors inside a success are read as the dialect's, and an assistant
 * message at the end of a request is gone on with.
 */

import {
  createOpenAICompatible,
  type OpenAICompatibleSettings,
} from './openai-compatible/openai-compatible.ts';
import type { Provider } from './provider.ts';

export interface OpenRouterSettings
  extends Pick<OpenAICompatibleSettings, 'baseUrl' | 'apiKey' | 'defaultModel' | 'connections'> {
  /** The application's address, for OpenRouter's lists; null to stay out of them. */
  referer: string | null;
  /** The application's name, likewise. */
  title: string | null;
}

/** The provider `openrouter`. */
export function createOpenRouter({ referer, title, ...settings }: OpenRouterSettings): Provider {
  return createOpenAICompatible({
    name: 'openrouter',
    models: [],
    modelsHaveSlashes: true,
    headers: {
      ...(referer === null ? {} : { 'HTTP-Referer': referer }),
      ...(title === null ? {} : { 'X-Title': title }),
    },
    contextTokens: null,
    continuation: 'prefill',
    ...settings,
  });
}
