/**
 * How an answer came: the lengths of the pieces of its text, in the order of their coming. With the output of the
 * turn it is all that is needed to make the turn's events again, with the same numbers, long after the log of the
 * running turn is gone (`traced-events.ts`).
 */

export type TraceStep =
  /** A run of pieces of one kind. `lengths` in UTF-16 units. */
  | { kind: 'message' | 'reasoning'; lengths: readonly number[] }
  /** The pieces since the step before were to be discarded; their text is kept here, as no output has it. */
  | { kind: 'restart'; reason: string; message: string; reasoning: string }
  /** A tool of the server's was called, was done, or is to be approved; the rest is in the output, under its id. */
  | { kind: 'tool-started' | 'tool-completed' | 'approval-asked'; itemId: string }
  | { kind: 'tool-progress'; itemId: string; progress: ToolProgress };

/** How far a call is, in the tool's own words: numbers of no unit, and not even sure to grow. */
export interface ToolProgress {
  progress: number;
  total: number | null;
  message: string | null;
}

export type Trace = readonly TraceStep[];
