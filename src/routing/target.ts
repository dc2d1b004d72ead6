/** A target: a provider and a model. What a turn tries is an ordered list of them. */

import type { ProviderSource } from '../conversation/turn.ts';
import type { Provider } from '../providers/provider.ts';

export interface Target {
  provider: Provider;
  model: string;
  /** Why this target: what chose it, or that another failed. */
  source: ProviderSource;
  /** Tokens that the model takes, where the operator has said so. */
  contextTokens: number | null;
}

/** What a turn may try, in order. The first is the chosen one. */
export type Targets = readonly [Target, ...Target[]];
