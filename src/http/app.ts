/**
 * The HTTP servers: what happens to every request, in order, and which routes there are. Each route is a file in
 * `routes/` or `admin/`; `error-response.ts` is the only other way out. What is taken of connections before any of
 * this is `bare-server.ts`.
 */

import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';
import { addAdminRoutes } from './admin/admin-routes.ts';
import { BODY_LIMIT_BYTES, createBareServer, HEADERS_MAX } from './bare-server.ts';
import { type Cors, createCors } from './cors.ts';
import { invalidRequest, sendError } from './error-response.ts';
import { createErrorSummary } from './error-summary.ts';
import { collectMethods } from './method-not-allowed.ts';
import { addChatRoutes } from './openai/chat-completions.ts';
import { addCompactRoute } from './openai/compact-response.ts';
import { addConversationItemRoutes } from './openai/conversation-item-routes.ts';
import { addConversationRoutes } from './openai/conversations.ts';
import { addInputTokensRoute } from './openai/input-tokens.ts';
import { addModelRoutes } from './openai/models.ts';
import { addResponseSocket } from './openai/response-socket.ts';
import { addResponseRoutes } from './openai/responses.ts';
import { addStoredCompletionRoutes } from './openai/stored-completions.ts';
import { addStoredResponseRoutes } from './openai/stored-responses.ts';
import { addOpenApi } from './openapi.ts';
import { noteEnd } from './request-end.ts';
import { followRequests } from './request-trace.ts';
import type { App, Rooms } from './rooms.ts';
import { addApprovalRoutes } from './routes/approvals.ts';
import { addHealthRoute } from './routes/health.ts';
import { addInputRoutes } from './routes/inputs.ts';
import { addMessageRoutes } from './routes/messages.ts';
import { addMetricsRoute } from './routes/metrics.ts';
import { addProviderRoutes } from './routes/providers.ts';
import { addReadyRoute } from './routes/ready.ts';
import { addSessionRoutes } from './routes/sessions.ts';
import { addToolRoutes } from './routes/tools.ts';
import { addTurnRoutes } from './routes/turns.ts';
import { SECURITY_HEADERS } from './security-headers.ts';
import { startTiming, tellTiming } from './server-timing.ts';
import { STREAM_TIMES, type StreamTimes } from './sse.ts';
import { addUiRoutes } from './ui/ui-routes.ts';

export interface AppOptions extends Omit<Rooms, 'errors' | 'streamTimes'> {
  log: FastifyBaseLogger;
  /** Whether the administration is a server of its own, and no part of the API's. */
  adminApart: boolean;
  streamTimes?: StreamTimes;
}

export interface HttpServers {
  /** The API, with the administration unless that is apart. */
  api: App;
  /** Null where it is not apart. */
  admin: App | null;
  /** From now on new requests are refused with `server_shutting_down`, those under way are finished. */
  refuse(): void;
  /** Stops listening. Answers that are not read yet have a moment; after it, their connections are cut. */
  close(): Promise<void>;
}

/**
 * For the last bytes of answers that are ready. Whoever does not read them in this time finds the answer in the
 * session; and a connection on which a request never comes to its end cannot keep the server.
 */
const LAST_BYTES_MILLISECONDS = 2000;

export async function createApp({ log, adminApart, ...options }: AppOptions): Promise<HttpServers> {
  const rooms: Rooms = { streamTimes: STREAM_TIMES, ...options, errors: createErrorSummary() };
  const state: State = { refusing: false };
  const api = await createApi(log, rooms, adminApart, state);
  const admin = adminApart ? await createAdministration(log, rooms, state) : null;
  const all = admin === null ? [api] : [api, admin];
  return {
    api,
    admin,
    refuse: () => {
      state.refusing = true;
    },
    close: async () => {
      const cut = setTimeout(() => {
        for (const { server } of all) server.closeAllConnections();
      }, LAST_BYTES_MILLISECONDS);
      await Promise.all(all.map((app) => app.close()));
      clearTimeout(cut);
    },
  };
}

async function createApi(
  log: FastifyBaseLogger,
  rooms: Rooms,
  adminApart: boolean,
  state: State,
): Promise<App> {
  const app = createServer(log, rooms, { state, cors: createCors(rooms.corsOrigins), administration: false });
  const refuseOtherMethods = collectMethods(app);
  await addOpenApi(app, rooms.version, adminApart ? 'api' : 'whole');
  await app.register(async (routes) => {
    addHealthRoute(routes, rooms);
    addReadyRoute(routes, rooms);
    if (rooms.metrics !== null) addMetricsRoute(routes, rooms.metrics);
    addProviderRoutes(routes, rooms);
    addToolRoutes(routes, rooms);
    addApprovalRoutes(routes, rooms);
    addInputRoutes(routes, rooms);
    addSessionRoutes(routes, rooms);
    addMessageRoutes(routes, rooms);
    addTurnRoutes(routes, rooms);
    addUiRoutes(routes, rooms);
    addModelRoutes(routes, rooms);
    addChatRoutes(routes, rooms);
    addConversationRoutes(routes, rooms);
    addConversationItemRoutes(routes, rooms);
    addResponseRoutes(routes, rooms);
    addStoredCompletionRoutes(routes, rooms);
    addStoredResponseRoutes(routes, rooms);
    addInputTokensRoute(routes, rooms);
    addCompactRoute(routes, rooms);
  });
  addResponseSocket(app, { origins: rooms.corsOrigins, maxBytes: BODY_LIMIT_BYTES });
  if (!adminApart) await addAdminRoutes(app, rooms.admin);
  refuseOtherMethods();
  return app;
}

/** The administration as a server of its own, which no page of elsewhere may call. */
async function createAdministration(log: FastifyBaseLogger, rooms: Rooms, state: State): Promise<App> {
  const app = createServer(log, rooms, { state, cors: createCors([]), administration: true });
  const refuseOtherMethods = collectMethods(app);
  await addOpenApi(app, rooms.version, 'administration');
  await app.register(async (routes) => addHealthRoute(routes, rooms));
  await addAdminRoutes(app, rooms.admin);
  refuseOtherMethods();
  return app;
}

/** What the servers have in common while they run. */
interface State {
  refusing: boolean;
}

interface Door {
  state: State;
  cors: Cors;
  /** Whether it is for administration alone, where callers' keys say nothing. */
  administration: boolean;
}

/** A server on which everything happens to a request that happens to every request. */
function createServer(log: FastifyBaseLogger, rooms: Rooms, { state, cors, administration }: Door): App {
  const app = createBareServer(log, rooms, begin);
  app.decorateReply('errorCode', null);
  app.decorateRequest('owner', '');
  app.decorateRequest('allowance');
  app.decorateRequest('timing');
  const follow = rooms.beginTrace === null ? null : followRequests(app, rooms.beginTrace);
  app.addHook('onRequest', async (request, reply) => {
    if (cors.answerPreflight(request, reply)) return reply;
    checkHead(request);
    if (state.refusing) {
      void reply.header('connection', 'close');
      throw new AppError('server_shutting_down');
    }
    await rooms.gate(request, reply, administration);
    request.timing.admittedAt = performance.now();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    tellTiming(request, reply);
    done();
  });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(new AppError('route_not_found'), request, reply));
  return app;

  /** What holds for every answer, whatever becomes of the request. */
  function begin(request: FastifyRequest, reply: FastifyReply): void {
    request.timing = startTiming();
    follow?.(request, reply);
    // Not `onResponse`, which never comes where the client leaves before the end of its answer.
    reply.raw.once('close', () => {
      noteEnd(request, reply, rooms);
      // Kept alive, it would keep the server from closing.
      if (state.refusing) request.raw.socket.destroySoon();
    });
    void reply.headers(SECURITY_HEADERS).header('x-request-id', request.id);
    cors.allow(request, reply);
  }
}

/** What of a request's head the parser lets through. */
function checkHead({ headers, raw }: FastifyRequest): void {
  if (headers.host === undefined && raw.httpVersion === '1.1') {
    throw invalidRequest('headers', 'must have a Host');
  }
  if (raw.rawHeaders.length > 2 * HEADERS_MAX) throw new AppError('headers_too_large');
}
