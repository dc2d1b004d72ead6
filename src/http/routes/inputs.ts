/** What somebody enters for a tool that asks while its call runs. */

import { InputRequest } from '../call-schemas.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';

export function addInputRoutes(app: App, { turns }: Pick<Rooms, 'turns'>): void {
  app.post(
    '/sessions/:session_id/turns/:turn_id/inputs',
    {
      schema: {
        tags: ['Turns'],
        operationId: 'answerInput',
        summary: 'Answer what a tool of the turn asks',
        description:
          'A turn whose message had `elicitation: true` tells of what its tools ask as `tool.input_requested`. The call ' +
          'goes on with the answer; without one it goes on, as if it was cancelled, when its time is over.',
        params: schemas.TurnParams,
        body: InputRequest,
        response: {
          204: { type: 'null', description: 'Handed on to the tool' },
          '4xx': schemas.ErrorAnswer,
          '5xx': schemas.ErrorAnswer,
        },
      },
    },
    async ({ owner, body, params }, reply) => {
      const { session_id: sessionId, turn_id: turnId } = params;
      const { request_id: requestId, action, content } = body;
      const answer = content === undefined ? { action } : { action, content };
      await turns.answerInput({ owner, sessionId, turnId }, requestId, answer);
      return reply.code(204).send(null);
    },
  );
}
