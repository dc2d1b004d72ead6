/** Chat completions that were stored: read, listed, given other metadata, and deleted. */

import { type Static, Type } from 'typebox';
import { chatMessage, itemsOfMessages } from '../../conversation/chat-message.ts';
import type { Item, PromptItem } from '../../conversation/item.ts';
import type { Session } from '../../conversation/session.ts';
import { joinsConversation, type Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { App, Rooms } from '../rooms.ts';
import { bodyFields } from './body-fields.ts';
import { completionView } from './chat-view.ts';
import {
  COMPLETION_MARK,
  completionMetadata,
  givenMetadata,
  isCompletion,
  withMetadata,
} from './completion-session.ts';
import { deleteTurn, isDeleted } from './deleted-turn.ts';
import { turnOfId } from './ids.ts';
import { unsupported } from './input-items.ts';
import { listView, pageOf, unlessGone } from './openai-list.ts';
import {
  Completion,
  openAIErrors as errors,
  OPEN,
  OpenAIList,
  orderQuery,
  pageQuery,
} from './openai-schemas.ts';

const Params = Type.Object({ completion_id: Type.String() });
const Deleted = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion.deleted'),
  deleted: Type.Literal(true),
});
const page = { ...pageQuery, ...orderQuery('asc') };
const MessagesQuery = Type.Object(page, { additionalProperties: false });
const Metadata = Type.Record(Type.String(), Type.String());
const CompletionsQuery = Type.Object(
  {
    ...page,
    model: Type.Optional(Type.String({ description: 'Only those that this model has answered' })),
    metadata: Type.Optional({ ...Metadata, style: 'deepObject', explode: true }),
  },
  { additionalProperties: false },
);
const Changed = Type.Object({ metadata: Type.Optional(Type.Unknown()) }, OPEN);

export function addStoredCompletionRoutes(app: App, rooms: Rooms): void {
  const { sessions } = rooms;

  app.get(
    '/v1/chat/completions',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listChatCompletions',
        summary: "The caller's stored completions, oldest first",
        description: 'Those that were made with `store: true`, in no session that was there before.',
        querystring: CompletionsQuery,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, query }) => listOf(rooms, owner, query),
  );

  app.get(
    '/v1/chat/completions/:completion_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'retrieveChatCompletion',
        summary: 'Read a completion',
        params: Params,
        response: { 200: Completion, ...errors },
      },
    },
    async ({ owner, params }) => {
      const { turn, session } = await stored(rooms, owner, params.completion_id);
      return storedView(turn, session);
    },
  );

  app.post(
    '/v1/chat/completions/:completion_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'updateChatCompletion',
        summary: 'Put other metadata in the place of what there is',
        params: Params,
        body: Changed,
        response: { 200: Completion, ...errors },
      },
    },
    async ({ owner, params, body }) => {
      const fields = bodyFields(body);
      fields.only(['metadata']);
      const metadata = givenMetadata(body);
      const { turn, session } = await stored(rooms, owner, params.completion_id);
      if (!isCompletion(turn)) {
        throw unsupported('metadata', 'a completion in a session has no metadata but those of the session');
      }
      return storedView(turn, await sessions.update(owner, session.id, withMetadata(metadata)));
    },
  );

  app.delete(
    '/v1/chat/completions/:completion_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'deleteChatCompletion',
        summary: 'Delete a completion',
        params: Params,
        response: { 200: Deleted, ...errors },
      },
    },
    async ({ owner, params }) => {
      const { turn } = await stored(rooms, owner, params.completion_id);
      await deleteTurn(rooms, owner, turn, isCompletion);
      return { id: params.completion_id, object: 'chat.completion.deleted' as const, deleted: true as const };
    },
  );

  app.get(
    '/v1/chat/completions/:completion_id/messages',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listChatCompletionMessages',
        summary: 'The messages that a completion was asked with',
        params: Params,
        querystring: MessagesQuery,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, params, query }) => {
      const { turn } = await stored(rooms, owner, params.completion_id);
      const { limit = 20, after, order = 'asc' } = query;
      return pageOf(messagesOf(turn.input), { limit, after, order });
    },
  );
}

interface StoredCompletion {
  turn: Turn;
  session: Session;
}

/** Throws `completion_not_found` for one that is not there, has no answer, or is somebody else's. */
async function stored({ sessions }: Rooms, owner: string, id: string): Promise<StoredCompletion> {
  const place = turnOfId('chatcmpl', id);
  if (place === null) throw missing();
  try {
    const session = await sessions.get(owner, place.sessionId);
    const turn = await sessions.turn(owner, place.sessionId, place.turnId);
    if (!joinsConversation(turn) || isDeleted(turn)) throw missing();
    return { turn, session };
  } catch (error) {
    throw error instanceof AppError && error.status === 404 ? missing() : error;
  }
}

function missing(): AppError {
  return new AppError('completion_not_found', { param: 'completion_id' });
}

function storedView(turn: Turn, session: Session) {
  return {
    ...completionView(turn),
    ...(isCompletion(turn) ? { metadata: completionMetadata(session) } : {}),
  };
}

/** How many are looked at for one page that has something in it, where most of what there is is of other models. */
const LOOKS = 10;
const LOOKED_AT = 100;

async function listOf({ sessions }: Rooms, owner: string, query: Static<typeof CompletionsQuery>) {
  const { limit = 20, order = 'asc', model, metadata } = query;
  const wanted = { ...metadata, ...COMPLETION_MARK };
  const found: ReturnType<typeof storedView>[] = [];
  let after = query.after === undefined ? null : (turnOfId('chatcmpl', query.after)?.sessionId ?? null);
  if (query.after !== undefined && after === null) throw new AppError('invalid_cursor', { param: 'after' });
  for (let looks = 1; ; looks += 1) {
    const size = model === undefined ? limit - found.length : LOOKED_AT;
    const { data, hasMore } = await sessions.list({ owner, metadata: wanted, limit: size, after, order });
    for (const session of data) {
      if (found.length === limit) return listView(found, true);
      const turn = await completionOf(session);
      if (turn !== null && (model === undefined || turn.model === model))
        found.push(storedView(turn, session));
      after = session.id;
    }
    // From a page without anything nobody could go on.
    const isEnough = found.length === limit || (looks >= LOOKS && found.length > 0);
    if (isEnough || !hasMore) return listView(found, hasMore);
  }

  /** The turn that the session was made for; a library may have sent it again after it had failed. */
  async function completionOf({ id }: Session): Promise<Turn | null> {
    const tries = await sessions.turns(owner, id, { limit: 10, after: null, order: 'asc' }).catch(unlessGone);
    return (
      tries?.data.find((turn) => isCompletion(turn) && joinsConversation(turn) && !isDeleted(turn)) ?? null
    );
  }
}

function messagesOf(input: readonly Item[]) {
  const said = input.filter(
    (item): item is PromptItem =>
      item.type === 'message' || item.type === 'function_call' || item.type === 'function_call_output',
  );
  return itemsOfMessages(said).map((group) => {
    const { content, ...message } = chatMessage(group);
    const parts = typeof content === 'string' || content === null ? null : content;
    const texts = parts?.flatMap((part) => (part.type === 'text' ? [part.text] : [])) ?? [];
    return {
      id: group[0]?.id ?? '',
      ...message,
      content: typeof content === 'string' ? content : texts.length === 0 ? null : texts.join('\n'),
      content_parts: parts,
    };
  });
}
