/** What followers of a turn see of what happens in it. */

import type { TurnEvent } from '../conversation/event.ts';
import { deltaOf, startedCall } from '../conversation/traced-events.ts';
import type { RouteEvent } from '../routing/route.ts';
import type { Answer } from './answer.ts';
import type { CallEvent } from './run-calls.ts';

/**
 * What followers see of each event; null for what only the turn's record shows.
 * @param answer knows of every event already
 */
export function createShownEvents(answer: Answer): (event: RouteEvent | CallEvent) => TurnEvent | null {
  /** Whether the present attempt tells of frames, in which its events are. */
  let inFrames = false;
  return (event) => {
    if (event.type === 'attempt-started') inFrames = false;
    if (event.type === 'frame') inFrames = true;
    return inFrames && isRead(event) ? null : shownAs(event, answer);
  };
}

function isRead({ type }: RouteEvent | CallEvent): boolean {
  return (
    type === 'text-delta' || type === 'refusal-delta' || type === 'reasoning-delta' || type === 'tool-call'
  );
}

function shownAs(event: RouteEvent | CallEvent, answer: Answer): TurnEvent | null {
  switch (event.type) {
    case 'frame':
      return event;
    case 'text-delta':
      return deltaOf('message', event.text);
    case 'refusal-delta':
      return deltaOf('refusal', event.text);
    case 'reasoning-delta':
      return deltaOf('reasoning', event.text);
    case 'tool-call': {
      const call = answer.lastRequested();
      return call === undefined ? null : { type: 'tool.requested', call };
    }
    case 'restart':
      return { type: 'message.restart', reason: event.reason };
    case 'call-started':
      return { type: 'tool.started', call: startedCall(event.call) };
    case 'call-progress':
      return { type: 'tool.progress', callId: event.call.call_id, progress: event.progress };
    case 'call-ended':
      return { type: 'tool.completed', call: event.call };
    case 'approval-asked':
      return { type: 'tool.approval_requested', request: event.request };
    case 'input-asked':
      return { type: 'tool.input_requested', call: startedCall(event.call), asked: event.asked };
    case 'input-given':
      return { type: 'tool.input_answered', requestId: event.requestId, action: event.action };
    case 'call-asked':
    case 'sampled':
    case 'finish':
    case 'attempt-started':
    case 'attempt-ended':
      return null;
  }
}
