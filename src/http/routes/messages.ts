/** Messages: sent, which is a turn, listed, which is the conversation, and deleted. */

import { Type } from 'typebox';
import { answerTurn } from '../answer-turn.ts';
import { turnRequest, wantsStream } from '../message-request.ts';
import { pageOf } from '../page-request.ts';
import { messageKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { listView, messageView } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };

export function addMessageRoutes(app: App, rooms: Rooms): void {
  const { sessions, idempotencySeconds } = rooms;
  app.post(
    '/sessions/:session_id/messages',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['Messages'],
        operationId: 'sendMessage',
        summary: 'Send a message and get the answer',
        description:
          'With `stream: true` or `Accept: text/event-stream` the answer comes as server-sent events: ' +
          '`turn.started`, `message.delta`, `reasoning.delta`, `message.restart` (discard the text so far), then ' +
          '`turn.completed` with the answer or `turn.failed` with the error. The turn goes on when the client ' +
          'leaves, unless `on_disconnect` says otherwise; its events can be read again. With an ' +
          '`Idempotency-Key` that was used before, the answer is that of the turn it was used for: joined while ' +
          'it runs, replayed when it is over, and tried again if it failed.',
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
    async ({ id, owner, allowance, body, headers, params }, reply) => {
      const stream = wantsStream(body, headers.accept);
      const provider = headers['x-provider'];
      const turn = turnRequest(body, {
        owner,
        allowance,
        sessionId: params.session_id,
        provider,
        stream,
        key: messageKey(headers['idempotency-key'], body, provider, idempotencySeconds),
        requestId: id,
      });
      return answerTurn(turn, body.on_disconnect === 'cancel', rooms, reply);
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
    async ({ owner, params, query }) =>
      listView(await sessions.items(owner, params.session_id, pageOf(query, 'asc')), messageView),
  );

  app.delete(
    '/sessions/:session_id/messages/:message_id',
    {
      schema: {
        tags: ['Messages'],
        operationId: 'deleteMessage',
        summary: 'Delete a message for ever',
        description:
          'Or any other item of a turn, by its id: a call, a result, reasoning. The next turn does not see it, and ' +
          'no list, turn, event or export has it any more. Its turn stays, with the rest of its items; where it was ' +
          'part of the answer, the events of the turn are from now on the first and the last. `memory_limit` goes on ' +
          'counting its place, and copies in forks stay.',
        params: schemas.MessageParams,
        response: { 204: { type: 'null', description: 'Deleted' }, ...errors },
      },
    },
    async ({ owner, params }, reply) => {
      await sessions.deleteItem(owner, params.session_id, params.message_id);
      return reply.code(204).send(null);
    },
  );
}
