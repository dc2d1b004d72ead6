/** Messages: sent, which is a turn, and listed, which is the conversation. */

import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../errors.ts';
import type { LiveTurn } from '../../turns/live-turn.ts';
import type { TurnRequest } from '../../turns/turn-request.ts';
import { leaving, onAbort } from '../disconnect.ts';
import { turnRequest, wantsStream } from '../message-request.ts';
import { pageOf } from '../page-request.ts';
import { markReplayed, messageKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { waitsFor } from '../server-timing.ts';
import { streamAnswer } from '../sse.ts';
import { answerView, listView, messageView, turnFailure } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };

export function addMessageRoutes(app: App, rooms: Rooms): void {
  const { sessions, streamTimes, idempotencySeconds } = rooms;
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
      const live = await startTurn(turn, body.on_disconnect === 'cancel', rooms, reply);
      if (stream) return streamAnswer(live, reply, streamTimes);
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
    async ({ owner, params, query }) =>
      listView(await sessions.items(owner, params.session_id, pageOf(query, 'asc')), messageView),
  );
}

/** @param bound whether the turn ends with the client's connection; never a turn that somebody else has started */
async function startTurn(
  request: TurnRequest,
  bound: boolean,
  { turns }: Rooms,
  reply: FastifyReply,
): Promise<LiveTurn> {
  const gone = bound ? leaving(reply) : undefined;
  try {
    const started = await turns.start(request, gone);
    const { live, replayed } = started;
    waitsFor(reply.request, started);
    if (replayed) markReplayed(reply);
    else if (gone !== undefined) onAbort(gone, cancel(live.id));
    return live;
  } catch (error) {
    // Who asks to be refused wants to hear of it; a library that tries again by itself would keep it from them.
    const refused = error instanceof AppError && error.code === 'session_busy' && request.onBusy === 'reject';
    if (refused) void reply.header('x-should-retry', 'false');
    throw error;
  }

  function cancel(turnId: string) {
    return () => {
      turns.cancel(request.owner, request.sessionId, turnId).catch((error: unknown) => {
        // Nobody is there to be told; the turn then ends by itself, or with the session.
        reply.log.warn({ err: error, turn_id: turnId }, 'a turn without a client could not be cancelled');
      });
    };
  }
}
