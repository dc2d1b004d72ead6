/** Responses that were made: read, followed again, listed, stopped and deleted. */

import { Type } from 'typebox';
import type { Turn } from '../../conversation/turn.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import { AppError } from '../../errors.ts';
import type { App, Rooms } from '../rooms.ts';
import { streamEvents } from '../sse.ts';
import { deleteTurn, isDeleted } from './deleted-turn.ts';
import { turnOfId } from './ids.ts';
import type { Fields } from './input-items.ts';
import { itemView } from './item-view.ts';
import { begunTurn } from './live-response.ts';
import { listView, pageOf, unlessGone } from './openai-list.ts';
import { openAIErrors as errors, OPEN, OpenAIList } from './openai-schemas.ts';
import { checkIncluded } from './response-options.ts';
import * as schemas from './response-schemas.ts';
import { type ResponseView, responseView } from './response-view.ts';
import { responseWire } from './response-wire.ts';

export function addStoredResponseRoutes(app: App, rooms: Rooms): void {
  const { turns, streamTimes } = rooms;
  app.get(
    '/v1/responses/:response_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'retrieveResponse',
        summary: 'Read a response, or its events again',
        description:
          'With `stream=true` the frames of its stream, under the same numbers, after the one that ' +
          '`starting_after` names.',
        params: schemas.ResponseParams,
        querystring: schemas.ResponseQuery,
        response: {
          200: {
            description: 'The response, or its events',
            content: {
              'application/json': { schema: schemas.ResponseObject },
              'text/event-stream': { schema: Type.String() },
            },
          },
          ...errors,
        },
      },
    },
    async ({ owner, params, query }, reply) => {
      checkQueried(query);
      const turn = await storedTurn(rooms, owner, params.response_id);
      if (query.stream !== 'true') return viewOf(rooms, owner, turn);
      const live = await turns.find(owner, turn.sessionId, turn.id);
      await streamEvents(live, -1, reply, streamTimes, responseWire(query.starting_after));
    },
  );

  app.post(
    '/v1/responses/:response_id/cancel',
    {
      preValidation: (request, _reply, done) => {
        request.body ??= {};
        done();
      },
      schema: {
        tags: ['OpenAI'],
        operationId: 'cancelResponse',
        summary: 'Stop a response',
        description:
          'Answers with the response when it is over; one that is over already is answered as it is.',
        params: schemas.ResponseParams,
        body: Type.Object({}, OPEN),
        response: { 200: schemas.ResponseObject, ...errors },
      },
    },
    async ({ owner, params }) => {
      const turn = await storedTurn(rooms, owner, params.response_id);
      return responseView(await turns.cancel(owner, turn.sessionId, turn.id));
    },
  );

  app.delete(
    '/v1/responses/:response_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'deleteResponse',
        summary: 'Delete a response',
        description:
          'It is not found any more, and what it said and was told is gone, also for those that followed it; one that ' +
          'runs is stopped first.',
        params: schemas.ResponseParams,
        response: {
          200: Type.Object({
            id: Type.String(),
            object: Type.Literal('response'),
            deleted: Type.Literal(true),
          }),
          ...errors,
        },
      },
    },
    async ({ owner, params }) => {
      await deleteTurn(rooms, owner, await storedTurn(rooms, owner, params.response_id), beganSession);
      return { id: params.response_id, object: 'response' as const, deleted: true as const };
    },
  );

  app.get(
    '/v1/responses/:response_id/input_items',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listInputItems',
        summary: 'What a response was told',
        params: schemas.ResponseParams,
        querystring: schemas.InputItemsQuery,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, params, query }) => {
      checkQueried(query);
      const { input } = await storedTurn(rooms, owner, params.response_id);
      const { limit = DEFAULT_LIMIT, after, order = 'desc' } = query;
      const all = input.map((item) => ({ ...itemView(item), id: item.id }));
      return pageOf(all, { limit, after, order });
    },
  );

  app.get(
    '/v1/responses',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listResponses',
        summary: "The caller's responses, newest first",
        querystring: schemas.ResponsesQuery,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, query }) => listOf(rooms, owner, query.limit ?? DEFAULT_LIMIT, query.after),
  );
}

const DEFAULT_LIMIT = 20;

/** Throws `response_not_found`, for somebody else's as for one that is not there. */
async function storedTurn({ sessions }: Rooms, owner: string, id: string): Promise<Turn> {
  const place = turnOfId('resp', id);
  if (place === null) throw missing();
  const turn = await sessions.turn(owner, place.sessionId, place.turnId).catch((error: unknown) => {
    const isMissing =
      error instanceof AppError && (error.code === 'session_not_found' || error.code === 'turn_not_found');
    throw isMissing ? missing() : error;
  });
  if (isDeleted(turn)) throw missing();
  return turn;
}

/** Whether the response began its session, unless others have followed it since, and was to be part of none. */
function beganSession({ asked }: Turn): boolean {
  return asked !== undefined && asked['conversation'] === undefined;
}

function missing(): AppError {
  return new AppError('response_not_found', { param: 'response_id' });
}

async function viewOf({ turns }: Rooms, owner: string, turn: Turn): Promise<ResponseView> {
  if (turn.status !== 'in_progress') return responseView(turn);
  const live = await turns.find(owner, turn.sessionId, turn.id);
  return responseView((await begunTurn(live)) ?? turn);
}

/** How often turns are looked for that nobody has deleted, before a page is given that has one. */
const LOOKS = 10;

async function listOf(rooms: Rooms, owner: string, limit: number, cursor: string | undefined) {
  const { sessions, admin } = rooms;
  const found: ResponseView[] = [];
  let after = cursor === undefined ? null : (turnOfId('resp', cursor)?.turnId ?? null);
  if (cursor !== undefined && after === null) throw new AppError('invalid_cursor', { param: 'after' });
  for (let looks = 1; ; looks += 1) {
    const anything = { status: null, provider: null, sessionId: null, since: null };
    const page = await admin.adminStore.recentTurns({
      ...anything,
      owner,
      limit: limit - found.length,
      after,
    });
    for (const { id, sessionId } of page.data.filter(isResponse)) {
      const turn = await sessions.turn(owner, sessionId, id).catch(unlessGone);
      if (turn !== null && !isDeleted(turn)) found.push(await viewOf(rooms, owner, turn));
    }
    after = page.lastId;
    // From a page without anything nobody could go on.
    const isEnough = found.length === limit || (looks >= LOOKS && found.length > 0);
    if (isEnough || !page.hasMore) return listView(found, page.hasMore);
  }
}

/** Whether a model was asked: items that were only added to a conversation are a turn as well. */
function isResponse({ status, provider }: TurnSummary): boolean {
  return status !== 'completed' || provider !== null;
}

function checkQueried(query: Fields): void {
  const asked = [query['include'], query['include[]']].flat().filter((name) => name !== undefined);
  checkIncluded({ include: asked });
}
