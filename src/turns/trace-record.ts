/** Writes down how an answer comes, piece by piece. */

import type { Discarded, TextKind, Trace, TraceStep } from '../conversation/trace.ts';

interface TraceRecord {
  /** The next piece. @param length in UTF-16 units */
  add(kind: TextKind, length: number): void;
  /** What was said since the step before is no part of the answer. */
  restart(reason: string, said: Discarded): void;
  /** Something happened to a call. */
  tool(step: Extract<TraceStep, { itemId: string }>): void;
  steps(): Trace;
}

export function createTraceRecord(): TraceRecord {
  const steps: TraceStep[] = [];
  let kind: TextKind | null = null;
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
    restart(reason, said) {
      kind = null;
      steps.push({ kind: 'restart', reason, ...said });
    },
    tool(step) {
      kind = null;
      steps.push(step);
    },
    steps: () => steps,
  };
}
