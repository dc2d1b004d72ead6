/** The body of a sent message as a turn's request. */

import type { Static } from 'typebox';
import { newItemId } from '../conversation/id.ts';
import type { Item } from '../conversation/item.ts';
import { inputItem } from '../conversation/message.ts';
import { AppError } from '../errors.ts';
import type { TurnRequest } from '../turns/turn-request.ts';
import type { MessageRequest } from './schemas.ts';

type Body = Static<typeof MessageRequest>;

/** Whether the client asked for server-sent events, in the body or by what it accepts. */
export function wantsStream(body: Body, accept: string | undefined): boolean {
  return body.stream ?? accept?.includes('text/event-stream') ?? false;
}

/** @param envelope what stands around the body; `provider` is the header's, which the body overrules */
export function turnRequest(
  body: Body,
  envelope: Pick<TurnRequest, 'owner' | 'allowance' | 'sessionId' | 'stream' | 'key' | 'requestId'> & {
    provider: string | undefined;
  },
): TurnRequest {
  return {
    owner: envelope.owner,
    allowance: envelope.allowance,
    sessionId: envelope.sessionId,
    input: [itemOf(body)],
    provider: body.provider ?? envelope.provider ?? null,
    model: body.model ?? null,
    memoryLimit: body.memory_limit ?? null,
    options: body.options ?? {},
    stream: envelope.stream,
    parentTurnId: body.parent_turn_id,
    onBusy: body.on_busy ?? 'queue',
    key: envelope.key,
    elicitation: body.elicitation ?? false,
    requestId: envelope.requestId,
  };
}

function itemOf({ role = 'user', content, tool_call_id: toolCallId, metadata }: Body): Item {
  const notes = metadata === undefined ? {} : { metadata };
  if (role === 'tool' && toolCallId !== undefined) {
    return inputItem({ role, content, toolCallId, ...notes }, newItemId('fco'));
  }
  if (role !== 'tool' && toolCallId === undefined) {
    return inputItem({ role, content, ...notes }, newItemId('msg'));
  }
  const message = 'belongs to role "tool", which needs it';
  throw new AppError('invalid_request', { problems: [{ in: 'body', path: '/tool_call_id', message }] });
}
