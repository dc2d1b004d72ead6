/** `/admin/sessions`: the sessions of any owner, listed, read and deleted. */

import type { Static } from 'typebox';
import type { Session } from '../../conversation/session.ts';
import { pageOf } from '../page-request.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer, listOf, Message, MessageListQuery, SessionParams } from '../schemas.ts';
import { listView, messageView, sessionView } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import { SEARCHED, searchedView } from './searched-view.ts';
import * as schemas from './session-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

export function addOwnedSessionRoutes(app: App, rooms: AdminRooms): void {
  addReading(app, rooms);
  addDeleting(app, rooms);
}

function addReading(app: App, { sessions, ownedSessions }: AdminRooms): void {
  app.get(
    '/admin/sessions',
    {
      schema: {
        tags,
        operationId: 'listOwnedSessions',
        summary: 'Sessions of all owners, or of one',
        description: SEARCHED,
        querystring: schemas.SessionsQuery,
        response: { 200: listOf(schemas.OwnedSession), ...errors },
      },
    },
    async ({ query: { owner, ...query } }) => {
      const page = pageOf(query, 'desc');
      if (owner === undefined) return searchedView(await ownedSessions.list(page), ownedSessionView);
      return listView(await sessions.list({ owner, metadata: {}, ...page }), ownedSessionView);
    },
  );

  app.get(
    '/admin/sessions/:session_id',
    {
      schema: {
        tags,
        operationId: 'readOwnedSession',
        summary: 'Read a session of any owner',
        params: SessionParams,
        response: { 200: schemas.OwnedSession, ...errors },
      },
    },
    async ({ params }) => {
      const owner = await ownedSessions.ownerOf(params.session_id);
      return ownedSessionView(await sessions.get(owner, params.session_id));
    },
  );

  app.get(
    '/admin/sessions/:session_id/messages',
    {
      schema: {
        tags,
        operationId: 'listOwnedMessages',
        summary: 'The conversation of a session of any owner',
        description: 'The messages on the path to the head, oldest first. `after` is the id of a message.',
        params: SessionParams,
        querystring: MessageListQuery,
        response: { 200: listOf(Message), ...errors },
      },
    },
    async ({ params, query }) => {
      const owner = await ownedSessions.ownerOf(params.session_id);
      return listView(await sessions.items(owner, params.session_id, pageOf(query, 'asc')), messageView);
    },
  );
}

function addDeleting(app: App, { ownedSessions }: AdminRooms): void {
  app.delete(
    '/admin/sessions/:session_id',
    {
      schema: {
        tags,
        operationId: 'deleteOwnedSession',
        summary: 'Delete a session of any owner with everything in it',
        params: SessionParams,
        response: { 204: { type: 'null', description: 'Deleted' }, ...errors },
      },
    },
    async ({ params }, reply) => {
      await ownedSessions.delete(params.session_id);
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/admin/sessions',
    {
      schema: {
        tags,
        operationId: 'deleteSessionsOfOwner',
        summary: 'Delete all sessions of an owner',
        description:
          'Those that it has when the request comes, in batches, each with an entry in the log of changes. An owner ' +
          'need not be a client (any more). If the answer is an error, some may be deleted: ask again.',
        querystring: schemas.OwnerQuery,
        response: { 200: schemas.DeletedSessions, ...errors },
      },
    },
    async ({ query: { owner } }) => {
      const deleted = await ownedSessions.deleteAll(owner);
      return { object: 'deleted_sessions' as const, owner, deleted };
    },
  );
}

function ownedSessionView(session: Session): Static<typeof schemas.OwnedSession> {
  return { ...sessionView(session), owner: session.owner };
}
