/** Messages: sent, which is a turn, and listed, which is the conversation. */

import { Type } from 'typebox';
import type { App, Rooms } from '../app.ts';
import { ownerOf } from '../auth.ts';
import { turnRequest, wantsStream } from '../message-request.ts';
import { pageOf } from '../page-request.ts';
import * as schemas from '../schemas.ts';
import { streamTurn } from '../sse.ts';
import { answerView, listView, messageView, turnFailure } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };

export function addMessageRoutes(app: App, { sessions, turns, streamTimes }: Rooms): void {
  app.post(
    '/sessions/:session_id/messages',
    {
      schema: {
        tags: ['Messages'],
        operationId: 'sendMessage',
        summary: 'Send a message and get the answer',
        description:
          'With `stream: true` or `Accept: text/event-stream` the answer comes as server-sent events: ' +
          '`turn.started`, `message.delta`, `reasoning.delta`, then `turn.completed` with the answer or ' +
          '`turn.failed` with the error. The turn goes on when the client leaves.',
        params: schemas.SessionParams,
        headers: schemas.MessageHeaders,
        body: schemas.MessageRequest,
        response: {
          200: {
            description: 'The answer, or its events',
            content: {
              'application/json': { schema: schemas.Answer },
              'text/event-stream': { schema: Type.String() },
            },
          },
          ...errors,
        },
      },
    },
    async (request, reply) => {
      const stream = wantsStream(request.body, request.headers.accept);
      const live = await turns.start(
        turnRequest(request.body, {
          owner: ownerOf(),
          sessionId: request.params.session_id,
          provider: request.headers['x-provider'],
          stream,
        }),
      );
      if (stream) return streamTurn(live, reply, streamTimes);
      const ended = await live.ended;
      if (ended.turn.error !== null) throw turnFailure(ended);
      return answerView(ended);
    },
  );

  app.get(
    '/sessions/:session_id/messages',
    {
      schema: {
        tags: ['Messages'],
        operationId: 'listMessages',
        summary: 'The conversation',
        description: 'The messages on the path to the head, oldest first. `after` is the id of a message.',
        params: schemas.SessionParams,
        querystring: schemas.MessageListQuery,
        response: { 200: schemas.listOf(schemas.Message), ...errors },
      },
    },
    async ({ params, query }) =>
      listView(await sessions.items(ownerOf(), params.session_id, pageOf(query, 'asc')), messageView),
  );
}
