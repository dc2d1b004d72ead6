/** A turn in no session is bound to its client: what comes of it nobody else could find. */

import type { FastifyReply } from 'fastify';
import { NO_SESSION } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import type { LiveTurn } from '../../turns/live-turn.ts';
import { leaving, onAbort } from '../disconnect.ts';
import type { Rooms } from '../rooms.ts';

/** Ends the turn when its client leaves. */
export function cancelWithClient(live: LiveTurn, owner: string, { turns }: Rooms, reply: FastifyReply): void {
  onAbort(leaving(reply), () => {
    turns.cancel(owner, NO_SESSION, live.id).catch((error: unknown) => {
      // Where it was over already there is nothing left to end.
      const isOver = error instanceof AppError && error.code === 'session_not_found';
      if (!isOver) reply.log.warn({ err: error }, 'a response without a client could not be cancelled');
    });
  });
}
