/**
 * How an answer came: the lengths of the pieces of its text, in the order of their coming. With the output of the
 * turn it is all that is needed to make the turn's events again, with the same numbers, long after the log of the
 * running turn is gone (`traced-events.ts`).
 */

import type { ApprovalRequestItem, FunctionCallItem } from './item.ts';

export type TraceStep =
  /** A run of pieces of one kind. `lengths` in UTF-16 units. */
  | { kind: TextKind; lengths: readonly number[] }
  /** What was said since the step before was to be discarded; it is kept here, as no output has it. */
  | ({ kind: 'restart'; reason: string } & Discarded)
  /**
   * A tool of the server's was called, was done, or is to be approved, or one of the caller's was asked for; the rest is in
   * the output, under its id.
   */
  | { kind: 'tool-started' | 'tool-completed' | 'approval-asked' | 'tool-requested'; itemId: string }
  | { kind: 'tool-progress'; itemId: string; progress: ToolProgress }
  /** A tool has asked for something to be entered, and what has become of that: what was entered is kept nowhere. */
  | { kind: 'input-asked'; itemId: string; asked: InputAsked }
  | { kind: 'input-given'; itemId: string; requestId: string; action: InputAction };

/** What a tool asks the user, in its server's words. */
export interface InputAsked {
  requestId: string;
  message: string;
  /** JSON Schema of an object with plain values. */
  schema: Readonly<Record<string, unknown>>;
}

export type InputAction = 'accept' | 'decline' | 'cancel';

/** What a model says: to the caller, why it will not, and to itself. */
export type TextKind = 'message' | 'refusal' | 'reasoning';

/** The texts, each of one kind joined, and the calls that were to be made or approved by others. */
export interface Discarded extends Partial<Record<TextKind, string>> {
  calls?: (FunctionCallItem | ApprovalRequestItem)[];
}

/** How far a call is, in the tool's own words: numbers of no unit, and not even sure to grow. */
export interface ToolProgress {
  progress: number;
  total: number | null;
  message: string | null;
}

export type Trace = readonly TraceStep[];
