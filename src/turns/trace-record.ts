/** Writes down how an answer comes, piece by piece. */

import type { Trace, TraceStep } from '../conversation/trace.ts';

interface TraceRecord {
  /** The next piece. @param length in UTF-16 units */
  add(kind: 'message' | 'reasoning', length: number): void;
  /** The pieces since the step before, whose texts these are, are no part of the answer. */
  restart(reason: string, message: string, reasoning: string): void;
  /** Something happened to a call. */
  tool(step: Extract<TraceStep, { itemId: string }>): void;
  steps(): Trace;
}

export function createTraceRecord(): TraceRecord {
  const steps: TraceStep[] = [];
  let kind: 'message' | 'reasoning' | null = null;
  let lengths: number[] = [];
  return {
    add(next, length) {
      if (next !== kind) {
        kind = next;
        lengths = [];
        steps.push({ kind, lengths });
      }
      lengths.push(length);
    },
    restart(reason, message, reasoning) {
      kind = null;
      steps.push({ kind: 'restart', reason, message, reasoning });
    },
    tool(step) {
      kind = null;
      steps.push(step);
    },
    steps: () => steps,
  };
}
