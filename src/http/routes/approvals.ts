/** Approvals: what somebody decides about calls that a turn has left, and the turn that goes on from there. */

import { type Static, Type } from 'typebox';
import { newItemId } from '../../conversation/id.ts';
import type { ApprovalResponseItem } from '../../conversation/item.ts';
import { decidedCalls } from '../../turns/decided-calls.ts';
import { answerTurn } from '../answer-turn.ts';
import { ApprovalsRequest } from '../call-schemas.ts';
import { approvalsKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';

export function addApprovalRoutes(app: App, rooms: Rooms): void {
  app.post(
    '/sessions/:session_id/turns/:turn_id/approvals',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['Turns'],
        operationId: 'decideCalls',
        summary: 'Approve or deny the calls that a turn has left, and go on',
        description:
          'Answers as `POST …/messages` does, with a turn that follows this one: the calls that are approved are run, ' +
          'the model reads their results and the refusals of the others, and goes on. All of them must be decided ' +
          'about at once. The same decisions again are the same turn; others are refused with 422.',
        params: schemas.TurnParams,
        body: ApprovalsRequest,
        response: {
          200: {
            description: 'The answer, or its events',
            content: {
              'application/json': { schema: schemas.Answer },
              'text/event-stream': { schema: Type.String() },
            },
          },
          '4xx': schemas.ErrorAnswer,
          '5xx': schemas.ErrorAnswer,
        },
      },
    },
    async ({ id, owner, allowance, body, headers, params }, reply) => {
      const { session_id: sessionId, turn_id: turnId } = params;
      const { output } = await rooms.sessions.turn(owner, sessionId, turnId);
      const input = body.approvals.map(responseOf);
      decidedCalls(output, input);
      const request = {
        owner,
        allowance,
        sessionId,
        input,
        provider: null,
        model: null,
        memoryLimit: null,
        options: body.options ?? {},
        stream: body.stream ?? headers.accept?.includes('text/event-stream') ?? false,
        parentTurnId: turnId,
        elicitation: body.elicitation ?? false,
        onBusy: 'queue' as const,
        key: approvalsKey(turnId, body.approvals),
        requestId: id,
      };
      return answerTurn(request, false, rooms, reply);
    },
  );
}

type Decision = Static<typeof ApprovalsRequest>['approvals'][number];

function responseOf({ approval_request_id, approve, reason }: Decision): ApprovalResponseItem {
  const id = newItemId('mcpa');
  return { type: 'mcp_approval_response', id, approval_request_id, approve, reason: reason ?? null };
}
