/** `POST /v1/responses`: a turn, begun and answered as clients of OpenAI's want it. */

import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../errors.ts';
import type { LiveTurn } from '../../turns/live-turn.ts';
import { markReplayed } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import { waitsFor } from '../server-timing.ts';
import { streamAnswer, streamEvents } from '../sse.ts';
import { turnFailure } from '../views.ts';
import { cancelWithClient } from './bound-turn.ts';
import { begunTurn } from './live-response.ts';
import { openAIErrors } from './openai-schemas.ts';
import { type ResponseRequest, responseRequest } from './response-request.ts';
import { ResponseBody, ResponseObject } from './response-schemas.ts';
import { responseView } from './response-view.ts';
import { responseWire } from './response-wire.ts';
import { noCall, startResponse } from './start-response.ts';

export function addResponseRoutes(app: App, rooms: Rooms): void {
  app.post(
    '/v1/responses',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['OpenAI'],
        operationId: 'createResponse',
        summary: 'Make a response',
        description:
          "OpenAI's Responses API over the same turns: a response is a turn, a conversation a session. With " +
          '`stream: true` it comes as server-sent events. What is not supported is refused with 400; docs/openai.md ' +
          'has all fields.',
        body: ResponseBody,
        response: {
          200: {
            description: 'The response, or its events',
            content: {
              'application/json': { schema: ResponseObject },
              'text/event-stream': { schema: Type.String() },
            },
          },
          ...openAIErrors,
        },
      },
    },
    async (request, reply) => {
      const asked = responseRequest(request.body);
      const started = await startResponse(asked, request, rooms);
      const { live, replayed } = started;
      waitsFor(request, started);
      if (replayed) markReplayed(reply);
      if (!asked.store) cancelWithClient(live, request.owner, rooms, reply);
      try {
        return await answer(live, asked, rooms, reply);
      } catch (error) {
        throw inWords(error);
      }
    },
  );
}

async function answer(
  live: LiveTurn,
  { stream, background }: ResponseRequest,
  { streamTimes }: Rooms,
  reply: FastifyReply,
) {
  if (background) {
    if (!stream) return responseView((await begunTurn(live)) ?? (await live.ended).turn);
    await streamEvents(live, -1, reply, streamTimes, responseWire());
    return;
  }
  if (stream) return streamAnswer(live, reply, streamTimes, responseWire());
  const ended = await live.ended;
  if (ended.turn.error !== null) throw turnFailure(ended);
  return responseView(ended.turn);
}

/** What only a turn that runs finds out about its request, in OpenAI's words. */
function inWords(error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== 'tool_call_not_found') return error;
  const callId = error.details?.['tool_call_id'];
  return typeof callId === 'string' ? noCall(callId) : error;
}
