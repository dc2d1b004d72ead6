/** `/admin/turns`: recent turns of everybody, with their attempts and without what was said. */

import type { Static } from 'typebox';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import { AppError } from '../../errors.ts';
import { pageOf } from '../page-request.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import { attemptView, isoTime, isoTimeOrNull } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import { SEARCHED, searchedView } from './searched-view.ts';
import * as schemas from './turn-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

export function addRecentTurnRoutes(app: App, { adminStore }: Pick<AdminRooms, 'adminStore'>): void {
  app.get(
    '/admin/turns',
    {
      schema: {
        tags,
        operationId: 'listRecentTurns',
        summary: 'Turns of all clients, newest first, without what was said',
        description: SEARCHED,
        querystring: schemas.TurnsQuery,
        response: { 200: schemas.TurnSummaryList, ...errors },
      },
    },
    async ({ query }) => {
      const { status = null, provider = null, owner = null, session_id: sessionId = null, since } = query;
      const { limit, after } = pageOf(query, 'desc');
      const from = since === undefined ? null : Date.parse(since);
      const page = await adminStore.recentTurns({
        limit,
        after,
        status,
        provider,
        owner,
        sessionId,
        since: from,
      });
      return searchedView(page, summaryView);
    },
  );

  app.get(
    '/admin/turns/:turn_id',
    {
      schema: {
        tags,
        operationId: 'readRecentTurn',
        summary: 'A turn of any client with its attempts, without what was said',
        params: schemas.TurnParams,
        response: { 200: schemas.TurnSummary, ...errors },
      },
    },
    async ({ params }) => {
      const turn = await adminStore.findTurn(params.turn_id);
      if (turn === null) throw new AppError('turn_not_found');
      return summaryView(turn);
    },
  );
}

function summaryView(turn: TurnSummary): Static<typeof schemas.TurnSummary> {
  return {
    object: 'turn',
    id: turn.id,
    owner: turn.owner,
    session_id: turn.sessionId,
    parent_turn_id: turn.parentId,
    status: turn.status,
    provider: turn.provider,
    provider_source: turn.providerSource,
    model: turn.model,
    finish_reason: turn.finishReason,
    usage: turn.usage,
    attempts: turn.attempts.map(attemptView),
    error: turn.error,
    created_at: isoTime(turn.createdAt),
    completed_at: isoTimeOrNull(turn.completedAt),
  };
}
