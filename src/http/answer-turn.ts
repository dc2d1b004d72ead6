/** A turn that a request asks for, begun and answered as the request wants it: whole, or as a stream. */

import type { FastifyReply } from 'fastify';
import { AppError } from '../errors.ts';
import type { LiveTurn } from '../turns/live-turn.ts';
import type { TurnRequest } from '../turns/turn-request.ts';
import { leaving, onAbort } from './disconnect.ts';
import { markReplayed } from './request-key.ts';
import type { Rooms } from './rooms.ts';
import { waitsFor } from './server-timing.ts';
import { streamAnswer } from './sse.ts';
import { answerView, turnFailure } from './views.ts';

/**
 * Begins the turn, or joins the one that its key stands for, and answers with it. Throws what begins no turn, and the
 * error that the turn ended with where nothing was sent yet.
 * @param bound whether the turn ends with the client's connection; never a turn that somebody else has started
 */
export async function answerTurn(request: TurnRequest, bound: boolean, rooms: Rooms, reply: FastifyReply) {
  const live = await startTurn(request, bound, rooms, reply);
  if (request.stream) return streamAnswer(live, reply, rooms.streamTimes);
  const ended = await live.ended;
  if (ended.turn.error !== null) throw turnFailure(ended);
  return answerView(ended);
}

/**
 * Begins the turn, or joins the one that its key stands for, and says so in the answer's headers. Throws what begins no
 * turn.
 * @param bound as for `answerTurn`
 */
export async function startTurn(
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
