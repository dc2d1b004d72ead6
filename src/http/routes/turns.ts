/** Turns, read: what was asked, who was tried, what came of it. */

import type { App, Rooms } from '../app.ts';
import { ownerOf } from '../auth.ts';
import { pageOf } from '../page-request.ts';
import * as schemas from '../schemas.ts';
import { listView, turnView } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };

export function addTurnRoutes(app: App, { sessions }: Rooms): void {
  app.get(
    '/sessions/:session_id/turns',
    {
      schema: {
        tags: ['Turns'],
        operationId: 'listTurns',
        summary: 'All turns of a session',
        description: 'In the order of their beginning, failed ones included.',
        params: schemas.SessionParams,
        querystring: schemas.TurnListQuery,
        response: { 200: schemas.listOf(schemas.TurnRecord), ...errors },
      },
    },
    async ({ params, query }) =>
      listView(await sessions.turns(ownerOf(), params.session_id, pageOf(query, 'asc')), turnView),
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
    async ({ params }) => turnView(await sessions.turn(ownerOf(), params.session_id, params.turn_id)),
  );
}
