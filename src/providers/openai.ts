/**
 * OpenAI: the dialect's origin, so that nothing is to be declared but where it is, and that its Chat Completions
 * cannot go on with a given text.
 */

import {
  createOpenAICompatible,
  type OpenAICompatibleSettings,
} from './openai-compatible/openai-compatible.ts';
import type { Provider } from './provider.ts';

export type OpenAISettings = Pick<
  OpenAICompatibleSettings,
  'baseUrl' | 'apiKey' | 'defaultModel' | 'connections'
>;

/** The provider `openai`. */
export function createOpenAI(settings: OpenAISettings): Provider {
  return createOpenAICompatible({
    name: 'openai',
    models: [],
    modelsHaveSlashes: false,
    headers: {},
    contextTokens: null,
    continuation: 'none',
    ...settings,
  });
}
