/** The AI SDK's chat transport: messages are sent, a running answer is read again, and the conversation is shown. */

import type { FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Turn } from '../../conversation/turn.ts';
import type { PathTurn } from '../../stores/store.ts';
import { undecidedCalls } from '../../turns/decided-calls.ts';
import { startTurn } from '../answer-turn.ts';
import { sessionOfId } from '../openai/ids.ts';
import { messageKey } from '../request-key.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { streamAnswer, streamEvents } from '../sse.ts';
import { UI_STREAM_HEADER } from './ui-chunk.ts';
import { continuesAnswer, type ShownTurn, uiMessagesOf } from './ui-message.ts';
import { chunksOfParts } from './ui-parts.ts';
import { UiChatRequest, UiMessages, UiMessagesQuery, UiReconnectParams } from './ui-schemas.ts';
import { uiTurn } from './ui-turn.ts';
import { type UiWireOptions, uiWire } from './ui-wire.ts';

const errors = { '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer };
const uiStream = {
  description: 'The UI message stream, version 1',
  content: { 'text/event-stream': { schema: Type.String() } },
};
const nothingRuns = { type: 'null', description: 'No turn of the session is running' } as const;

/** Turns that wait for a session may have been asked for before the one that runs; more than those are not looked at. */
const NEWEST_TURNS = 20;

/** Places read of the conversation before a turn that goes on with an answer. */
const ANSWER_REACH = 256;

export function addUiRoutes(app: App, rooms: Rooms): void {
  const { sessions, turns, streamTimes, idempotencySeconds } = rooms;
  app.post(
    '/ui/:session_id/chat',
    {
      config: { beginsTurn: true },
      schema: {
        tags: ['UI'],
        operationId: 'sendUiMessage',
        summary: 'Send a message as the AI SDK does',
        description:
          'What `useChat` sends with its `DefaultChatTransport`, answered with its stream. The conversation is the ' +
          "server's: of the messages the last one counts, with the results of the client's tools. The turn goes on " +
          'when the client leaves.',
        params: schemas.SessionParams,
        headers: schemas.MessageHeaders,
        body: UiChatRequest,
        response: { 200: uiStream, ...errors },
      },
    },
    async ({ id, owner, allowance, body, headers, params }, reply) => {
      const sessionId = sessionIdOf(params.session_id);
      const provider = headers['x-provider'];
      const asked = await uiTurn(body, { owner, sessionId }, sessions);
      const request = {
        key: messageKey(headers['idempotency-key'], body, provider, idempotencySeconds),
        ...asked.turn,
        owner,
        allowance,
        sessionId,
        provider: body.provider ?? provider ?? null,
        model: body.model ?? null,
        memoryLimit: body.memory_limit ?? null,
        options: body.options ?? {},
        stream: true,
        requestId: id,
      };
      const live = await startTurn(request, body.on_disconnect === 'cancel', rooms, reply);
      void reply.header(...UI_STREAM_HEADER);
      try {
        await streamAnswer(live, reply, streamTimes, uiWire({ ...asked, before: [] }));
      } catch (error) {
        void reply.removeHeader(UI_STREAM_HEADER[0]);
        throw error;
      }
    },
  );

  app.get(
    '/ui/:session_id/chat/stream',
    {
      schema: {
        tags: ['UI'],
        operationId: 'resumeUiStream',
        summary: 'The running answer from its beginning, as the AI SDK reads it',
        params: schemas.SessionParams,
        response: { 200: uiStream, 204: nothingRuns, ...errors },
      },
    },
    ({ owner, params }, reply) => resume(owner, sessionIdOf(params.session_id), reply),
  );

  app.get(
    '/ui/:session_id/chat/:chat_id/stream',
    {
      schema: {
        tags: ['UI'],
        operationId: 'resumeUiChat',
        summary: 'The same, where a transport that nobody has told otherwise asks for it',
        params: UiReconnectParams,
        response: { 200: uiStream, 204: nothingRuns, ...errors },
      },
    },
    ({ owner, params }, reply) => resume(owner, sessionIdOf(params.session_id), reply),
  );

  app.get(
    '/ui/:session_id/messages',
    {
      schema: {
        tags: ['UI'],
        operationId: 'listUiMessages',
        summary: 'The conversation as messages of the AI SDK',
        description:
          'For `useChat({ messages })`: the newest messages on the path to the head, oldest first, or to the turn that is ' +
          'running, with what was asked in it.',
        params: schemas.SessionParams,
        querystring: UiMessagesQuery,
        response: { 200: UiMessages, ...errors },
      },
    },
    async ({ owner, params, query }): Promise<Static<typeof UiMessages>> => {
      const sessionId = sessionIdOf(params.session_id);
      const running = await runningTurn(owner, sessionId);
      const path = await pathTo(owner, sessionId, running, query.limit ?? 200);
      return { messages: uiMessagesOf([...path, ...(running === null ? [] : [running])]) };
    },
  );

  async function resume(owner: string, sessionId: string, reply: FastifyReply) {
    const running = await runningTurn(owner, sessionId);
    if (running === null) return reply.code(204).send(null);
    const live = await turns.find(owner, sessionId, running.id);
    const wire = uiWire(await wireOf(owner, sessionId, running));
    void reply.header(...UI_STREAM_HEADER);
    await streamEvents(live, -1, reply, streamTimes, wire);
    return reply;
  }

  async function runningTurn(owner: string, sessionId: string): Promise<Turn | null> {
    const query = { limit: NEWEST_TURNS, after: null, order: 'desc' as const };
    const { data } = await sessions.turns(owner, sessionId, query);
    return data.find(({ status }) => status === 'in_progress') ?? null;
  }

  /** Of the conversation that the turn follows; without one, of the whole. */
  async function pathTo(
    owner: string,
    sessionId: string,
    turn: Turn | null,
    places: number,
  ): Promise<PathTurn[]> {
    if (turn?.parentId === null) return [];
    return sessions.path(owner, sessionId, turn?.parentId, places);
  }

  /** For a reader that has nothing of the message that the turn may go on with. */
  async function wireOf(owner: string, sessionId: string, turn: Turn): Promise<UiWireOptions> {
    if (!continuesAnswer(turn.input)) return { messageId: null, decided: [], before: [] };
    const path: ShownTurn[] = await pathTo(owner, sessionId, turn, ANSWER_REACH);
    const decided = undecidedCalls(path.at(-1)?.output ?? []);
    const answer = uiMessagesOf([...path, turn]).at(-1);
    return { messageId: answer?.id ?? null, decided, before: chunksOfParts(answer?.parts ?? []) };
  }
}

/** Sessions go by their own ids here, and by those of conversations. */
function sessionIdOf(id: string): string {
  return sessionOfId(id) ?? id;
}
