/** `POST /v1/chat/completions`: a turn in no session, or in the one that is named. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../errors.ts';
import type { Follower, LiveTurn } from '../../turns/live-turn.ts';
import type { StartedTurn } from '../../turns/turns.ts';
import { libraryKey, markReplayed } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import { waitsFor } from '../server-timing.ts';
import { streamAnswer } from '../sse.ts';
import { turnFailure } from '../views.ts';
import { cancelWithClient } from './bound-turn.ts';
import { type ChatRequest, chatRequest } from './chat-request.ts';
import { completionView } from './chat-view.ts';
import { chatWire } from './chat-wire.ts';
import { ASKED_COMPLETION, sessionForCompletion } from './completion-session.ts';
import { Completion, OPEN, openAIErrors } from './openai-schemas.ts';

const Body = Type.Object(
  {
    model: Type.Optional(Type.Unknown({ description: 'As `GET /v1/models` lists them' })),
    messages: Type.Optional(
      Type.Unknown({ description: 'In a session, what comes after the last answer is taken' }),
    ),
    stream: Type.Optional(Type.Unknown({ description: 'Whether the answer comes as server-sent events' })),
    session_id: Type.Optional(Type.Unknown({ description: 'The session to answer in; also `X-Session-ID`' })),
  },
  { ...OPEN, description: 'Other fields are passed on to the provider as they are' },
);
const Headers = Type.Object({ 'x-session-id': Type.Optional(Type.String({ minLength: 1, maxLength: 100 })) });

export function addChatRoutes(app: App, rooms: Rooms): void {
  app.post(
    '/v1/chat/completions',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['OpenAI'],
        operationId: 'createChatCompletion',
        summary: 'Make a chat completion',
        description:
          "OpenAI's Chat Completions. Nothing is stored, and the turn ends with its client, unless a session is named: then " +
          'it is a turn of that session, which remembers what was said before.',
        headers: Headers,
        body: Body,
        response: {
          200: {
            description: 'The completion, or its chunks',
            content: {
              'application/json': { schema: Completion },
              'text/event-stream': { schema: Type.String() },
            },
          },
          ...openAIErrors,
        },
      },
    },
    async (request, reply) => {
      const asked = chatRequest(request.body, request.headers['x-session-id']);
      const { started, sessionId } = await start(asked, request, rooms);
      const { live, replayed } = started;
      waitsFor(request, started);
      if (replayed) markReplayed(reply);
      if (sessionId === null) cancelWithClient(live, request.owner, rooms, reply);
      else nameTurn(sessionId, live.id, reply);
      if (asked.stream) {
        return streamAnswer(live, reply, rooms.streamTimes, chatWire(asked.model ?? '', asked.includesUsage));
      }
      const relayed = followBody(live);
      const ended = await live.ended.finally(relayed.close);
      if (ended.turn.error !== null) throw turnFailure(ended);
      const body = relayed.body();
      if (body === null) return completionView(ended.turn);
      return reply.type('application/json; charset=utf-8').send(body);
    },
  );
}

interface StartedCompletion {
  started: StartedTurn;
  /** Where it is stored; null if nowhere. */
  sessionId: string | null;
}

async function start(
  { model, stream, place, instructions, input, messages, options }: ChatRequest,
  { id, owner, allowance, headers, body }: FastifyRequest,
  { sessions, turns, idempotencySeconds }: Rooms,
): Promise<StartedCompletion> {
  const common = {
    owner,
    allowance,
    input,
    provider: null,
    model,
    memoryLimit: null,
    options,
    stream,
    requestId: id,
    ...(instructions === undefined ? {} : { instructions }),
    ...(messages === null ? {} : { messages }),
  };
  if (place.kind === 'nowhere') {
    return { started: await turns.startUnstored({ ...common, takesFrames: true }), sessionId: null };
  }
  // How the answer is delivered is no part of what is asked.
  const { stream: _, stream_options: __, ...words } = Object(body) as Record<string, unknown>;
  const target = place.kind === 'own' ? 'completions' : `completions of ${place.id}`;
  const key = libraryKey(headers, target, words, idempotencySeconds);
  const inSession = { ...common, parentTurnId: undefined, onBusy: 'queue', key } as const;
  if (place.kind === 'session') {
    const started = await turns.start({ ...inSession, sessionId: place.id }).catch(withParam);
    return { started, sessionId: place.id };
  }
  const { session, replayed } = await sessions.create(owner, sessionForCompletion(place.metadata), key);
  try {
    const started = await turns.start({ ...inSession, sessionId: session.id, asked: ASKED_COMPLETION });
    return { started, sessionId: session.id };
  } catch (error) {
    if (!replayed) await sessions.delete(owner, session.id);
    throw error;
  }
}

/** Says which field has named the session that is not there. */
function withParam(error: unknown): never {
  const isMissing = error instanceof AppError && error.code === 'session_not_found';
  throw isMissing ? new AppError('session_not_found', { param: 'session_id' }) : error;
}

/** The answer as the provider wrote it, taken from the turn as it comes: its log does not keep what is very large. */
function followBody(live: LiveTurn): { body(): string | null; close(): void } {
  let body: string | null = null;
  // It may call back before it is given.
  let follower: Follower | null = null;
  follower = live.follow(-1, () => follower !== null && read(follower));
  read(follower);
  return { body: () => body, close: follower.close };

  function read(follower: Follower): void {
    for (let next = follower.next(); next !== null; next = follower.next()) {
      if (next === 'expired') continue;
      if (next.event.type === 'frame') body = next.event.frame.data;
      // What follows is made of another's events.
      else if (next.event.type === 'message.restart') body = null;
    }
  }
}

function nameTurn(sessionId: string, turnId: string, reply: FastifyReply): void {
  void reply.header('x-session-id', sessionId).header('x-turn-id', turnId);
}
