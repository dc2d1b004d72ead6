/** What the doors ask of turns, whatever the wire that it came over. */

import type { TurnAllowance } from '../conversation/client.ts';
import type { Item } from '../conversation/item.ts';
import type { RequestKey } from '../conversation/request-key.ts';
import type { ToolChoice } from '../conversation/session.ts';
import type { Choice } from '../routing/targets.ts';

export interface TurnRequest extends Choice {
  owner: string;
  /** What the owner's turns may take. */
  allowance: TurnAllowance;
  sessionId: string;
  input: readonly Item[];
  /** The input as it came in the words of Chat Completions, for providers that take those (`Prompt.messages`). */
  messages?: readonly unknown[];
  /** Whether the answer is read in those words as well (`Prompt.takesFrames`): for turns in no session alone. */
  takesFrames?: true;
  /** Left out, the session's. */
  instructions?: string | null;
  /** The tools of the server's that the model may use; left out, the session's. */
  tools?: RequestedTools;
  /** Places in this turn's window; null leaves it to the session. */
  memoryLimit: number | null;
  /** Passed to the provider as they are. */
  options: Readonly<Record<string, unknown>>;
  /** Whether tools may ask the user something, which their events tell of; left out, they are told no. */
  elicitation?: boolean;
  /** Whether the input is only to become part of the conversation: no model is asked. */
  asksNobody?: true;
  /** Shown again with the turn (`Turn.asked`). */
  asked?: Readonly<Record<string, unknown>>;
  /** Whether the upstream call streams. */
  stream: boolean;
  /** The turn to follow; undefined = the head, null = the conversation starts again. */
  parentTurnId: string | null | undefined;
  onBusy: OnBusy;
  /** Under which the request is done once; null does it each time. */
  key: RequestKey | null;
  /** Names in the log who asked. */
  requestId: string;
}

export interface RequestedTools {
  choice: ToolChoice;
  /** Patterns of those whose calls have to be approved, beside those that the operator wants approved. */
  requireApproval: readonly string[];
}

/** A turn in no session (`unstored.ts`). */
export type UnstoredRequest = Omit<TurnRequest, 'sessionId' | 'parentTurnId' | 'onBusy' | 'key'>;

/** What to do where a turn of the session is running already. */
export type OnBusy = 'queue' | 'reject' | 'interrupt';
