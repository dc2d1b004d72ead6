/**
 * What happens in a turn, as its followers see it. Events are numbered from 0 in the order of their happening;
 * the number is the SSE `id` of the native stream, and a follower asks for what comes after a number.
 */

import type { ApprovalRequestItem, FunctionCallItem, McpCallItem } from './item.ts';
import type { InputAction, InputAsked, ToolProgress } from './trace.ts';
import type { Turn } from './turn.ts';

export type TurnEvent =
  | { type: 'turn.started'; turn: Turn }
  /** @property isRefusal left out for what is none */
  | { type: 'message.delta'; text: string; isRefusal?: true }
  | { type: 'reasoning.delta'; text: string }
  /**
   * What a provider has said in the words of Chat Completions, for a caller who reads those: it stands for the deltas and
   * calls that were read from it, which are not told of then. Only in turns of no session.
   */
  | { type: 'frame'; frame: AnswerFrame }
  /** The caller is to run a tool of its own. */
  | { type: 'tool.requested'; call: RequestedCall }
  /** A tool of the server's is called. */
  | { type: 'tool.started'; call: StartedCall }
  | { type: 'tool.progress'; callId: string; progress: ToolProgress }
  | { type: 'tool.completed'; call: McpCallItem }
  /** A tool asks the user something, and waits. */
  | { type: 'tool.input_requested'; call: StartedCall; asked: InputAsked }
  /** It waits no more: somebody has answered, or nobody in time. */
  | { type: 'tool.input_answered'; requestId: string; action: InputAction }
  /** A call waits for somebody's approval, and the turn will end without it. */
  | { type: 'tool.approval_requested'; request: ApprovalRequestItem }
  /** What came since the last call is not part of the answer: a rescue could not continue it. */
  | { type: 'message.restart'; reason: string }
  /** The last event of a turn that gave an answer, which may be cut short by the model's own limits. */
  | { type: 'turn.completed'; ended: EndedTurn }
  /** The last event of every other turn. */
  | { type: 'turn.failed'; ended: EndedTurn };

/** A frame of a streamed answer, or the body of a whole one, as it came in the words of Chat Completions. */
export interface AnswerFrame {
  /** JSON. */
  data: string;
  /** Whether it says why the model stopped. */
  ends: boolean;
  /** Whether it says what was used, and nothing else. */
  isUsage: boolean;
  /** Whether it shows something that no event tells of: sound, or another of several answers. */
  showsMore: boolean;
}

/** What is known of a call before it is sure that the model has got to its end. */
export type RequestedCall = Pick<FunctionCallItem, 'id' | 'call_id' | 'name' | 'arguments'>;

export type StartedCall = Pick<McpCallItem, 'id' | 'call_id' | 'server_label' | 'name' | 'arguments'>;

/** A turn that is over, with what an answer shows beside it. */
export interface EndedTurn {
  turn: Turn;
  /** The turns that the model saw before this one, oldest first. */
  seen: readonly SeenTurn[];
}

/** What a window shows of a turn. */
export interface SeenTurn {
  id: string;
  input: Turn['input'];
  output: Turn['output'];
  createdAt: number;
  completedAt: number;
}

export function isLast(event: TurnEvent): boolean {
  return event.type === 'turn.completed' || event.type === 'turn.failed';
}
