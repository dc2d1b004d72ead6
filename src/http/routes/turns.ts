/** Turns: read, with what was asked, who was tried and what came of it; followed by their events; stopped. */

import { Type } from 'typebox';
import { pageOf } from '../page-request.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { streamEvents } from '../sse.ts';
import { listView, turnView } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };

export function addTurnRoutes(app: App, { sessions, turns, streamTimes }: Rooms): void {
  app.get(
    '/sessions/:session_id/turns',
    {
      schema: {
        tags: ['Turns'],
        operationId: 'listTurns',
        summary: 'All turns of a session',
        description: 'In the order of their beginning, failed and cancelled ones included.',
        params: schemas.SessionParams,
        querystring: schemas.TurnListQuery,
        response: { 200: schemas.listOf(schemas.TurnRecord), ...errors },
      },
    },
    async ({ owner, params, query }) =>
      listView(await sessions.turns(owner, params.session_id, pageOf(query, 'asc')), turnView),
  );

  app.get(
    '/sessions/:session_id/turns/:turn_id',
    {
      schema: {
        tags: ['Turns'],
        operationId: 'readTurn',
        summary: 'Read a turn with its attempts',
        params: schemas.TurnParams,
        response: { 200: schemas.TurnRecord, ...errors },
      },
    },
    async ({ owner, params }) => turnView(await sessions.turn(owner, params.session_id, params.turn_id)),
  );

  app.get(
    '/sessions/:session_id/turns/:turn_id/events',
    {
      schema: {
        tags: ['Turns'],
        operationId: 'followTurn',
        summary: "A turn's events, from any point on, while it runs and after it",
        description:
          'The server-sent events of `POST …/messages` with `stream: true`, with the same numbers, after the one ' +
          'that `after` or `Last-Event-ID` names (`after` counts where both are there). A reader that has fallen ' +
          'too far behind a running turn gets an `error` event (`events_expired`), then the last event.',
        params: schemas.TurnParams,
        querystring: schemas.EventsQuery,
        headers: schemas.EventsHeaders,
        response: {
          200: { description: 'The events', content: { 'text/event-stream': { schema: Type.String() } } },
          204: { type: 'null', description: 'The turn is over, and nothing comes after that event' },
          ...errors,
        },
      },
    },
    async ({ owner, params, query, headers }, reply) => {
      const live = await turns.find(owner, params.session_id, params.turn_id);
      const after = eventNumber(query.after ?? headers['last-event-id'] ?? '-1');
      // An EventSource connects again whenever a stream ends, until it is answered so.
      if (!(await streamEvents(live, after, reply, streamTimes))) return reply.code(204).send(null);
    },
  );

  app.post(
    '/sessions/:session_id/turns/:turn_id/cancel',
    {
      preValidation: (request, _reply, done) => {
        request.body ??= {};
        done();
      },
      schema: {
        tags: ['Turns'],
        operationId: 'cancelTurn',
        summary: 'Stop a turn',
        description:
          'Answers with the turn when it is over. What there was of an answer stays, as an incomplete message. A ' +
          'turn that is over already is answered as it is.',
        params: schemas.TurnParams,
        body: schemas.CancelRequest,
        response: { 200: schemas.TurnRecord, ...errors },
      },
    },
    async ({ owner, params }) => turnView(await turns.cancel(owner, params.session_id, params.turn_id)),
  );
}

/** Beyond this, numbers are no longer told apart, and no turn has as many events. */
function eventNumber(text: string): number {
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}
