/**
 * A turn that has failed and is done again under its key goes on from the calls that it had made: what a tool has done
 * once is not done a second time because the model, or the store, could not be reached afterwards.
 */

import type { McpCallItem } from '../conversation/item.ts';
import type { Turn } from '../conversation/turn.ts';
import type { DecidedCall } from './decided-calls.ts';
import { BEFORE_THE_FIRST_STEP, mayHaveBeenMade } from './run-calls.ts';

/** The calls that the failed turn has made, or may have, in their order; none without such a turn. */
export function callsMadeBefore(retries: Turn | null): McpCallItem[] {
  const calls = retries?.output.filter((item) => item.type === 'mcp_call') ?? [];
  return calls.filter(mayHaveBeenMade);
}

/** The decisions of which nothing was done before. */
export function stillToDo(decided: readonly DecidedCall[], made: readonly McpCallItem[]): DecidedCall[] {
  return decided.filter(
    ({ request }) =>
      !made.some(({ call_id: id, step }) => id === request.call_id && step === BEFORE_THE_FIRST_STEP),
  );
}
