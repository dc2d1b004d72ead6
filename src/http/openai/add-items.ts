/** Items that are added to a conversation without anybody answering: a turn of it that asks no model. */

import type { FastifyRequest } from 'fastify';
import type { Item } from '../../conversation/item.ts';
import { AppError } from '../../errors.ts';
import { libraryKey } from '../request-key.ts';
import type { Rooms } from '../rooms.ts';
import { turnFailure } from '../views.ts';
import { inputItems, unsupported, wrong } from './input-items.ts';
import { noCall } from './start-response.ts';

/** As many as OpenAI takes at once. */
export const ITEMS_MAX = 20;

/**
 * The items to be added. Throws for what is none, for too many, and for an id that is there already.
 * @param known ids that the conversation has
 */
export function newItems(given: readonly unknown[], known: readonly string[]): Item[] {
  if (given.length > ITEMS_MAX) throw wrong('items', `must not have more than ${ITEMS_MAX} items`);
  const ids = new Set(known);
  return inputItems(given, 'items').map((item, index) => {
    const place = `items[${index}]`;
    if (item.type === 'item_reference') {
      throw unsupported(`${place}.type`, 'an item that is there already is not added once more');
    }
    if (ids.has(item.id)) throw wrong(`${place}.id`, 'is the id of another item');
    ids.add(item.id);
    return item;
  });
}

/** Adds them. Throws `conversation_locked` while a turn of the conversation runs, and for a result without its call. */
export async function addItems(
  { turns, idempotencySeconds }: Rooms,
  {
    id,
    owner,
    allowance,
    headers,
    body,
  }: Pick<FastifyRequest, 'id' | 'owner' | 'allowance' | 'headers' | 'body'>,
  sessionId: string,
  input: readonly Item[],
): Promise<readonly Item[]> {
  const key = libraryKey(headers, `items of ${sessionId}`, Object(body) as object, idempotencySeconds);
  try {
    const { live } = await turns.start({
      owner,
      allowance,
      sessionId,
      input,
      asksNobody: true,
      provider: null,
      model: null,
      memoryLimit: null,
      options: {},
      stream: false,
      parentTurnId: undefined,
      onBusy: 'reject',
      key,
      requestId: id,
    });
    const ended = await live.ended;
    if (ended.turn.error !== null) throw turnFailure(ended);
    return ended.turn.input;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.code === 'session_busy') {
      const reason =
        'Another process is currently operating on this conversation. Please retry in a few seconds.';
      throw new AppError('conversation_locked', { param: 'conversation_id', reason });
    }
    const callId = error.details?.['tool_call_id'];
    throw error.code === 'tool_call_not_found' && typeof callId === 'string' ? noCall(callId) : error;
  }
}
