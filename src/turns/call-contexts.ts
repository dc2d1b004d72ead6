/** What answers the servers of a turn's calls while those run: the turn's own model, and whoever follows it. */

import type { McpCallItem } from '../conversation/item.ts';
import type { Attempt } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import type { RouteConditions } from '../routing/route.ts';
import type { Targets } from '../routing/target.ts';
import type { CallContext } from '../tools/tool-source.ts';
import type { TurnInputs } from './inputs.ts';
import type { CallEvent } from './run-calls.ts';
import { sample, samplingPrompt } from './sampling.ts';

export interface CallContextsOptions {
  inputs: TurnInputs;
  /** Throws if the client has no tokens left for what tools ask a model. */
  checkTokens(): Promise<void>;
  /** Whether upstream calls stream. */
  stream: boolean;
  /** Those that are asked, as it stands. */
  targets(): Targets;
  /** For as long as the turn has left. */
  conditions(): RouteConditions;
  /** Ends with the turn. */
  signal: AbortSignal;
  tell(event: CallEvent): void;
}

/** How often the tools of one turn may have a model asked: more is a loop. */
const SAMPLINGS_MAX = 10;

/** Makes the context of each call of one turn. */
export function createCallContexts(options: CallContextsOptions): (call: McpCallItem) => CallContext {
  const { inputs, checkTokens, stream, targets, conditions, signal, tell } = options;
  let samplings = 0;
  return (call) => ({
    elicit: (params, ended) => inputs.ask(call, params, AbortSignal.any([ended, signal]), tell),
    async sample(params, ended) {
      samplings += 1;
      if (samplings > SAMPLINGS_MAX) throw new Error('the tools of the turn have asked the model too often');
      const prompt = samplingPrompt(params, stream);
      await checkTokens();
      const attempts: Attempt[] = [];
      const sampledFor = `${call.server_label}.${call.name}`;
      let usage: Usage | null = null;
      try {
        const until = AbortSignal.any([ended, signal]);
        const note = (attempt: Attempt) => attempts.push({ ...attempt, sampledFor });
        const sampled = await sample(targets(), prompt, conditions(), until, note);
        usage = sampled.usage;
        return sampled.result;
      } finally {
        tell({ type: 'sampled', attempts, usage });
      }
    },
  });
}
