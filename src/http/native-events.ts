/** A turn's events as the native stream writes them: server-sent events, whose `id` is the event's number. */

import type { TurnEvent } from '../conversation/event.ts';
import { AppError } from '../errors.ts';
import type { NumberedEvent } from '../turns/live-turn.ts';
import { errorBody } from './error-response.ts';
import type { StreamWire } from './stream-wire.ts';
import { answerView, isoTime, turnFailure } from './views.ts';

/** @param requestId named in errors */
export function nativeWire(requestId: string): StreamWire {
  return {
    frame: (event) => nativeFrame(event, requestId),
    expired: () => expiredFrame(requestId),
    end: () => '',
  };
}

function nativeFrame({ number, event }: NumberedEvent, requestId: string): string {
  return `id: ${number}\nevent: ${event.type}\ndata: ${JSON.stringify(dataOf(event, requestId))}\n\n`;
}

/** What a follower reads that fell behind the running turn: its next events have a gap before them. */
function expiredFrame(requestId: string): string {
  return `event: error\ndata: ${JSON.stringify(errorBody(new AppError('events_expired'), requestId))}\n\n`;
}

function dataOf(event: TurnEvent, requestId: string): unknown {
  switch (event.type) {
    case 'turn.started':
      return {
        session_id: event.turn.sessionId,
        turn_id: event.turn.id,
        parent_turn_id: event.turn.parentId,
        created_at: isoTime(event.turn.createdAt),
      };
    case 'message.delta':
    case 'reasoning.delta':
      return { text: event.text };
    case 'frame':
      return event.frame;
    case 'tool.requested': {
      const { call_id, name, arguments: given } = event.call;
      return { call_id, name, arguments: given };
    }
    case 'tool.started': {
      const { call_id, server_label: server, name, arguments: given } = event.call;
      return { call_id, server, name, arguments: given };
    }
    case 'tool.approval_requested': {
      const { id, call_id, server_label: server, name, arguments: given } = event.request;
      return { approval_request_id: id, call_id, server, name, arguments: given };
    }
    case 'tool.progress':
      return { call_id: event.callId, ...event.progress };
    case 'tool.input_requested': {
      const { call_id, server_label: server, name } = event.call;
      const { requestId: request_id, message, schema } = event.asked;
      return { request_id, call_id, server, name, message, schema };
    }
    case 'tool.input_answered':
      return { request_id: event.requestId, action: event.action };
    case 'tool.completed': {
      const { call_id, output, error, duration_ms: milliseconds } = event.call;
      return { call_id, ...(error === null ? { output } : { error }), milliseconds };
    }
    case 'message.restart':
      return { reason: event.reason };
    case 'turn.completed':
      return answerView(event.ended);
    case 'turn.failed':
      return errorBody(turnFailure(event.ended), requestId);
  }
}
