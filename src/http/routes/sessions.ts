/** Sessions: made, listed, read, changed, forked, deleted, and what the model would see of them. */

import type { Static } from 'typebox';
import type { SessionSettings } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import { pageOf } from '../page-request.ts';
import { markReplayed, sessionKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { listView, sessionView, windowView } from '../views.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };
const one = { 200: schemas.Session, ...errors };

export function addSessionRoutes(app: App, { sessions, turns, idempotencySeconds }: Rooms): void {
  app.post(
    '/sessions',
    {
      preValidation: (request, _reply, done) => {
        request.body ??= {};
        done();
      },
      schema: {
        tags: ['Sessions'],
        operationId: 'createSession',
        summary: 'Create a session',
        headers: schemas.SessionHeaders,
        body: schemas.SessionChange,
        response: { 201: schemas.Session, ...errors },
      },
    },
    async ({ owner, body, headers }, reply) => {
      const key = sessionKey(headers['idempotency-key'], body, idempotencySeconds);
      const { session, replayed } = await sessions.create(owner, settingsOf(body), key);
      if (replayed) markReplayed(reply);
      return reply.code(201).header('location', `/sessions/${session.id}`).send(sessionView(session));
    },
  );

  app.get(
    '/sessions',
    {
      schema: {
        tags: ['Sessions'],
        operationId: 'listSessions',
        summary: 'List sessions',
        description: 'In the order of their making. `metadata[key]=value` keeps those that have the pair.',
        querystring: schemas.SessionListQuery,
        response: { 200: schemas.listOf(schemas.Session), ...errors },
      },
    },
    async ({ owner, query }) => {
      const page = await sessions.list({
        owner,
        metadata: query.metadata ?? {},
        ...pageOf(query, 'desc'),
      });
      return listView(page, sessionView);
    },
  );

  app.get(
    '/sessions/:session_id',
    {
      schema: {
        tags: ['Sessions'],
        operationId: 'readSession',
        summary: 'Read a session',
        params: schemas.SessionParams,
        response: one,
      },
    },
    async ({ owner, params }) => sessionView(await sessions.get(owner, params.session_id)),
  );

  app.patch(
    '/sessions/:session_id',
    {
      schema: {
        tags: ['Sessions'],
        operationId: 'changeSession',
        summary: 'Change the settings of a session',
        description:
          'Changes the fields that are present; null takes a setting back. Metadata is replaced. Whatever changes ' +
          'puts off the expiry of a session with `ttl_seconds`.',
        params: schemas.SessionParams,
        body: schemas.SessionChange,
        response: one,
      },
    },
    async ({ owner, params, body }) =>
      sessionView(await sessions.update(owner, params.session_id, settingsOf(body))),
  );

  app.delete(
    '/sessions/:session_id',
    {
      schema: {
        tags: ['Sessions'],
        operationId: 'deleteSession',
        summary: 'Delete a session with everything in it',
        params: schemas.SessionParams,
        response: { 204: { type: 'null', description: 'Deleted' }, ...errors },
      },
    },
    async ({ owner, params }, reply) => {
      await sessions.delete(owner, params.session_id);
      turns.abandon(params.session_id);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/sessions/:session_id/fork',
    {
      preValidation: (request, _reply, done) => {
        request.body ??= {};
        done();
      },
      schema: {
        tags: ['Sessions'],
        operationId: 'forkSession',
        summary: 'Copy the conversation up to a turn into a new session',
        params: schemas.SessionParams,
        body: schemas.ForkRequest,
        response: { 201: schemas.Session, ...errors },
      },
    },
    async ({ owner, params, body }, reply) => {
      const fork = await sessions.fork(owner, params.session_id, body.turn_id ?? null);
      return reply.code(201).header('location', `/sessions/${fork.id}`).send(sessionView(fork));
    },
  );

  app.get(
    '/sessions/:session_id/window',
    {
      schema: {
        tags: ['Sessions'],
        operationId: 'readWindow',
        summary: 'What the model would see if a message were sent now',
        params: schemas.SessionParams,
        response: { 200: schemas.WindowRecord, ...errors },
      },
    },
    async ({ owner, params }) => windowView(await sessions.window(owner, params.session_id)),
  );
}

/** The settings that a body names. */
function settingsOf(body: Static<typeof schemas.SessionChange>): Partial<SessionSettings> {
  const { fallback_provider: single, fallback_providers: list } = body;
  if (single !== undefined && list !== undefined) {
    const message = 'cannot stand beside fallback_providers';
    throw new AppError('invalid_request', {
      problems: [{ in: 'body', path: '/fallback_provider', message }],
    });
  }
  const fallbackProviders = single === undefined ? list : [single];
  return {
    ...(body.title === undefined ? {} : { title: body.title }),
    ...(body.provider === undefined ? {} : { provider: body.provider }),
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(fallbackProviders === undefined ? {} : { fallbackProviders }),
    ...(body.memory_limit === undefined ? {} : { memoryLimit: body.memory_limit }),
    ...(body.max_context_tokens === undefined ? {} : { maxContextTokens: body.max_context_tokens }),
    ...(body.instructions === undefined ? {} : { instructions: body.instructions }),
    ...(body.tools === undefined ? {} : { tools: body.tools }),
    ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
    ...(body.ttl_seconds === undefined ? {} : { ttlSeconds: body.ttl_seconds }),
  };
}
