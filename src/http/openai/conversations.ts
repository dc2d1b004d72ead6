/** `/v1/conversations`: sessions, as clients of OpenAI's make, read, change and delete them. */

import { type Static, Type } from 'typebox';
import type { Session } from '../../conversation/session.ts';
import { AppError } from '../../errors.ts';
import { libraryKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import { addItems, ITEMS_MAX, newItems } from './add-items.ts';
import { bodyFields } from './body-fields.ts';
import { metadataOf } from './common-fields.ts';
import { conversationIdOf, sessionOfId } from './ids.ts';
import { listView } from './openai-list.ts';
import { openAIErrors as errors, OPEN, OpenAIList, orderQuery, pageQuery } from './openai-schemas.ts';

const Conversation = Type.Object({
  id: Type.String(),
  object: Type.Literal('conversation'),
  created_at: Type.Integer(),
  metadata: Type.Record(Type.String(), Type.String()),
});
const Deleted = Type.Object({
  id: Type.String(),
  object: Type.Literal('conversation.deleted'),
  deleted: Type.Literal(true),
});
const NewConversation = Type.Object(
  {
    metadata: Type.Optional(Type.Unknown({ description: 'Up to 16 pairs of texts' })),
    items: Type.Optional(Type.Unknown({ description: `Up to ${ITEMS_MAX} items` })),
  },
  OPEN,
);
const ChangedConversation = Type.Object({ metadata: Type.Optional(Type.Unknown()) }, OPEN);
const Params = Type.Object({ conversation_id: Type.String() });
const Query = Type.Object({ ...pageQuery, ...orderQuery('desc') }, { additionalProperties: false });

/** What a request to make a conversation may have. */
export const CONVERSATION_FIELDS = ['metadata', 'items'] as const;

export function addConversationRoutes(app: App, rooms: Rooms): void {
  const { sessions, turns, idempotencySeconds } = rooms;

  app.post(
    '/v1/conversations',
    {
      preValidation: (request, _reply, done) => {
        request.body ??= {};
        done();
      },
      schema: {
        tags: ['OpenAI'],
        operationId: 'createConversation',
        summary: 'Make a conversation',
        description: 'It is a session, and has its settings natively.',
        body: NewConversation,
        response: { 200: Conversation, ...errors },
      },
    },
    async (request, _reply) => {
      const { owner, headers, body } = request;
      const fields = bodyFields(body);
      fields.only(CONVERSATION_FIELDS);
      const metadata = metadataOf(body) ?? {};
      const items = newItems(fields.list('items') ?? [], []);
      const key = libraryKey(headers, 'conversations', body, idempotencySeconds);
      const { session } = await sessions.create(owner, { metadata }, key);
      // A try before this one may have come as far as that.
      if (items.length > 0 && session.headTurnId === null) {
        await addItems(rooms, request, session.id, items).catch((error: unknown) =>
          abandon(owner, session.id, error),
        );
      }
      return conversationView(session);
    },
  );

  app.get(
    '/v1/conversations',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listConversations',
        summary: "The caller's conversations, newest first",
        querystring: Query,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, query }) => {
      const { limit = 20, after, order = 'desc' } = query;
      const cursor = after === undefined ? null : sessionOfId(after);
      if (after !== undefined && cursor === null) throw new AppError('invalid_cursor', { param: 'after' });
      const page = await sessions.list({ owner, metadata: {}, limit, after: cursor, order });
      return listView(page.data.map(conversationView), page.hasMore);
    },
  );

  app.get(
    '/v1/conversations/:conversation_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'retrieveConversation',
        summary: 'Read a conversation',
        params: Params,
        response: { 200: Conversation, ...errors },
      },
    },
    async ({ owner, params }) => conversationView(await conversation(rooms, owner, params.conversation_id)),
  );

  app.post(
    '/v1/conversations/:conversation_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'updateConversation',
        summary: 'Put other metadata in the place of what there is',
        params: Params,
        body: ChangedConversation,
        response: { 200: Conversation, ...errors },
      },
    },
    async ({ owner, params, body }) => {
      const fields = bodyFields(body);
      fields.only(['metadata']);
      const { id } = await conversation(rooms, owner, params.conversation_id);
      const metadata = metadataOf(body) ?? {};
      return conversationView(await sessions.update(owner, id, { metadata }));
    },
  );

  app.delete(
    '/v1/conversations/:conversation_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'deleteConversation',
        summary: 'Delete a conversation, with everything in it',
        params: Params,
        response: { 200: Deleted, ...errors },
      },
    },
    async ({ owner, params }) => {
      const { id } = await conversation(rooms, owner, params.conversation_id);
      await sessions.delete(owner, id);
      turns.abandon(id);
      return { id: params.conversation_id, object: 'conversation.deleted' as const, deleted: true as const };
    },
  );

  /** Nobody has been told of a conversation whose items are wrong for every try. After other errors a later try goes on. */
  async function abandon(owner: string, sessionId: string, error: unknown): Promise<never> {
    const isForGood = error instanceof AppError && error.code === 'tool_call_not_found';
    if (isForGood) await sessions.delete(owner, sessionId).catch(() => undefined);
    throw error;
  }
}

/** Throws `session_not_found`, for somebody else's as for one that is not there. */
export async function conversation(
  { sessions }: Pick<Rooms, 'sessions'>,
  owner: string,
  id: string,
): Promise<Session> {
  const sessionId = sessionOfId(id);
  if (sessionId === null) throw missing();
  return sessions.get(owner, sessionId).catch((error: unknown) => {
    throw error instanceof AppError && error.code === 'session_not_found' ? missing() : error;
  });
}

function missing(): AppError {
  return new AppError('session_not_found', {
    param: 'conversation_id',
    reason: 'There is no such conversation.',
  });
}

export function conversationView({ id, createdAt, metadata }: Session): Static<typeof Conversation> {
  return {
    id: conversationIdOf(id),
    object: 'conversation',
    created_at: Math.floor(createdAt / 1000),
    metadata: { ...metadata },
  };
}
