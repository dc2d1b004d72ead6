/**
 * How an answer came: the lengths of the pieces of its text, in the order of their coming. With the output of the
 * turn it is all that is needed to make the turn's events again, with the same numbers, long after the log of the
 * running turn is gone (`traced-events.ts`).
 */

export type TraceStep =
  /** A run of pieces of one kind. `lengths` in UTF-16 units. */
  | { kind: 'message' | 'reasoning'; lengths: readonly number[] }
  /** The pieces since the last restart were to be discarded; their text is kept here, as no output has it. */
  | { kind: 'restart'; reason: string; message: string; reasoning: string };

export type Trace = readonly TraceStep[];
