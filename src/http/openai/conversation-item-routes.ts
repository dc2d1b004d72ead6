/** The items of conversations: added, listed, read and deleted. */

import { Type } from 'typebox';
import type { Item } from '../../conversation/item.ts';
import { AppError } from '../../errors.ts';
import { isLaterTry } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import { addItems, ITEMS_MAX, newItems } from './add-items.ts';
import { bodyFields } from './body-fields.ts';
import { findItem, findItems, itemsPage } from './conversation-items.ts';
import { conversation, conversationView } from './conversations.ts';
import { wrong } from './input-items.ts';
import { itemView } from './item-view.ts';
import { listView } from './openai-list.ts';
import { openAIErrors as errors, OPEN, OpenAIList } from './openai-schemas.ts';
import { checkIncluded } from './response-options.ts';
import { InputItemsQuery } from './response-schemas.ts';

const Params = Type.Object({ conversation_id: Type.String() });
const ItemParams = Type.Object({ conversation_id: Type.String(), item_id: Type.String() });
const ItemObject = Type.Object({ id: Type.String(), type: Type.String() }, OPEN);
const ConversationObject = Type.Object({ id: Type.String(), object: Type.Literal('conversation') }, OPEN);
const Added = Type.Object(
  { items: Type.Optional(Type.Unknown({ description: `1 to ${ITEMS_MAX} items` })) },
  OPEN,
);

export function addConversationItemRoutes(app: App, rooms: Rooms): void {
  const { sessions } = rooms;

  app.post(
    '/v1/conversations/:conversation_id/items',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'addItems',
        summary: 'Add items to a conversation, without an answer',
        params: Params,
        body: Added,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async (request, _reply) => {
      const { owner, params, body, headers } = request;
      const fields = bodyFields(body);
      fields.only(['items']);
      const given = fields.list('items');
      if (given === undefined || given.length === 0) throw wrong('items', 'must have an item in it');
      const { id } = await conversation(rooms, owner, params.conversation_id);
      // What is sent again may be there because of the first try, which this one then is.
      const asked = isLaterTry(headers) ? [] : givenIds(given);
      const known = (await findItems(sessions, owner, id, asked)).map((item) => item.id);
      const added = await addItems(rooms, request, id, newItems(given, known));
      return listView(added.map(viewOf), false);
    },
  );

  app.get(
    '/v1/conversations/:conversation_id/items',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'listItems',
        summary: 'The items of a conversation, newest first',
        params: Params,
        querystring: InputItemsQuery,
        response: { 200: OpenAIList, ...errors },
      },
    },
    async ({ owner, params, query }) => {
      const { limit = 20, after = null, order = 'desc', ...included } = query;
      checkIncluded({ include: Object.values(included).flat() });
      const { id } = await conversation(rooms, owner, params.conversation_id);
      const { data, hasMore } = await itemsPage(sessions, owner, id, { limit, after, order });
      return listView(data.map(viewOf), hasMore);
    },
  );

  app.get(
    '/v1/conversations/:conversation_id/items/:item_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'retrieveItem',
        summary: 'Read an item',
        params: ItemParams,
        response: { 200: ItemObject, ...errors },
      },
    },
    async ({ owner, params }) => {
      const { id } = await conversation(rooms, owner, params.conversation_id);
      const item = await findItem(sessions, owner, id, params.item_id);
      if (item === null) throw missing();
      return viewOf(item);
    },
  );

  app.delete(
    '/v1/conversations/:conversation_id/items/:item_id',
    {
      schema: {
        tags: ['OpenAI'],
        operationId: 'deleteItem',
        summary: 'Delete an item',
        description: 'The next turn does not see it. The answer is the conversation.',
        params: ItemParams,
        response: { 200: ConversationObject, ...errors },
      },
    },
    async ({ owner, params }) => {
      const found = await conversation(rooms, owner, params.conversation_id);
      await sessions.deleteItem(owner, found.id, params.item_id).catch((error: unknown) => {
        throw error instanceof AppError && error.code === 'item_not_found' ? missing() : error;
      });
      return conversationView(found);
    },
  );
}

function missing(): AppError {
  return new AppError('item_not_found', { param: 'item_id' });
}

function givenIds(items: readonly unknown[]): string[] {
  return items.flatMap((item) => {
    const { id } = Object(item) as { id?: unknown };
    return typeof id === 'string' ? [id] : [];
  });
}

function viewOf(item: Item) {
  return { ...itemView(item), id: item.id, type: item.type };
}
