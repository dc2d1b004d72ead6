/**
 * `POST /v1/responses/compact`: a conversation summed up by a model, as a message with which another one can begin. Nothing
 * of it is kept.
 */

import { Type } from 'typebox';
import { newItemId } from '../../conversation/id.ts';
import type { Item, MessageItem } from '../../conversation/item.ts';
import type { Turn } from '../../conversation/turn.ts';
import type { App, Rooms } from '../rooms.ts';
import { waitsFor } from '../server-timing.ts';
import { turnFailure } from '../views.ts';
import { bodyFields } from './body-fields.ts';
import { cancelWithClient } from './bound-turn.ts';
import { modelOf } from './common-fields.ts';
import { turnIdOf } from './ids.ts';
import { inputItems, wrong } from './input-items.ts';
import { withoutReferences } from './item-references.ts';
import { OPEN, openAIErrors } from './openai-schemas.ts';
import { beforeResponse, historyOf } from './response-place.ts';
import { COMPACT_FIELDS, responsePlace } from './response-request.ts';
import { CompactBody } from './response-schemas.ts';
import { usageView } from './response-view.ts';

const TASK =
  'Sum up the conversation so far, for a reader who goes on with it and knows nothing else of it: what is wanted, ' +
  'what was found out and decided, what was said to be done and is not, and names, numbers and quotations that will ' +
  'be needed word for word. Answer with the summary alone.';

const BEFORE_SUMMARY = 'What was said before, in short:\n\n';

export function addCompactRoute(app: App, rooms: Rooms): void {
  const { sessions, turns, admin } = rooms;
  app.post(
    '/v1/responses/compact',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['OpenAI'],
        operationId: 'compactResponse',
        summary: 'Sum up a conversation',
        description: 'The output is a message that can be the beginning of another input. Nothing is stored.',
        body: CompactBody,
        response: {
          200: Type.Object({
            id: Type.String(),
            object: Type.Literal('response.compaction'),
            created_at: Type.Integer(),
            output: Type.Array(Type.Object({}, OPEN)),
            usage: Type.Unknown(),
          }),
          ...openAIErrors,
        },
      },
    },
    async (request, reply) => {
      const { id, owner, allowance, body } = request;
      const fields = bodyFields(body);
      fields.only(COMPACT_FIELDS);
      const before = await beforeResponse(sessions, owner, responsePlace(body));
      const past = await historyOf(sessions, owner, before, 'disabled');
      const found = { sessions, turnIndex: admin.adminStore };
      const more = await withoutReferences(inputItems(body['input'] ?? []), owner, async () => past, found);
      if (past.length + more.length === 0) throw wrong('input', 'must have something in it');
      const started = await turns.startUnstored({
        owner,
        allowance,
        input: [...past, ...more, said(TASK)],
        instructions: fields.text('instructions') ?? null,
        provider: null,
        model: modelOf(body),
        memoryLimit: null,
        options: {},
        stream: false,
        requestId: id,
      });
      waitsFor(request, started);
      cancelWithClient(started.live, owner, rooms, reply);
      const ended = await started.live.ended;
      if (ended.turn.error !== null) throw turnFailure(ended);
      return compaction(ended.turn);
    },
  );
}

function compaction(turn: Turn) {
  const { id: turnId, sessionId, createdAt, output, usage } = turn;
  return {
    id: turnIdOf('resp', { sessionId, turnId }),
    object: 'response.compaction' as const,
    created_at: Math.floor(createdAt / 1000),
    output: [{ ...said(BEFORE_SUMMARY + output.map(textOf).join('')) }],
    usage: usage === null ? null : usageView(usage),
  };
}

function textOf(item: Item): string {
  if (item.type !== 'message') return '';
  return item.content.map((part) => (part.type === 'output_text' ? part.text : '')).join('');
}

function said(text: string): MessageItem {
  return {
    type: 'message',
    id: newItemId('msg'),
    role: 'user',
    status: 'completed',
    content: [{ type: 'input_text', text }],
  };
}
