/**
 * The HTTP server: what happens to every request, in order, and which routes there are. Each route is a file in
 * `routes/`; `error-response.ts` is the only other way out.
 */

import { maxHeaderSize } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { newId } from '../conversation/id.ts';
import { AppError } from '../errors.ts';
import { addAdminRoutes } from './admin/admin-routes.ts';
import { answerProtocolError } from './client-error.ts';
import { invalidRequest, sendError } from './error-response.ts';
import { createErrorSummary } from './error-summary.ts';
import { acceptJsonOnly } from './json-body.ts';
import { collectMethods } from './method-not-allowed.ts';
import { addOpenApi } from './openapi.ts';
import { parseQueryString } from './query-string.ts';
import type { App, Rooms } from './rooms.ts';
import { addHealthRoute } from './routes/health.ts';
import { addMessageRoutes } from './routes/messages.ts';
import { addMetricsRoute } from './routes/metrics.ts';
import { addProviderRoutes } from './routes/providers.ts';
import { addReadyRoute } from './routes/ready.ts';
import { addSessionRoutes } from './routes/sessions.ts';
import { addTurnRoutes } from './routes/turns.ts';
import { STREAM_TIMES, type StreamTimes } from './sse.ts';
import { compileValidator } from './validation.ts';

export interface AppOptions extends Omit<Rooms, 'errors' | 'streamTimes'> {
  log: FastifyBaseLogger;
  streamTimes?: StreamTimes;
}

export interface HttpServer {
  app: App;
  /** From now on new requests are refused with `server_shutting_down`, those under way are finished. */
  refuse(): void;
  /** Stops listening. Answers that are not read yet have a moment; after it, their connections are cut. */
  close(): Promise<void>;
}

declare module 'fastify' {
  interface FastifyReply {
    /** Set when the answer is an error. */
    errorCode: string | null;
  }
}

/**
 * For the last bytes of answers that are ready. Whoever does not read them in this time finds the answer in the
 * session; and a connection on which a request never comes to its end cannot keep the server.
 */
const LAST_BYTES_MILLISECONDS = 2000;

/** Room for a message with images; more than this is refused unread. */
const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

export async function createApp({ log, ...options }: AppOptions): Promise<HttpServer> {
  const errors = createErrorSummary();
  const rooms: Rooms = { streamTimes: STREAM_TIMES, ...options, errors };
  let refusing = false;

  const app: App = Fastify({
    loggerInstance: log,
    // One line per request, written by the hook below.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => newId(),
    bodyLimit: BODY_LIMIT_BYTES,
    // A refusal while closing is an answer like any other, made by the hook below.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerProtocolError,
    // Missing hosts are refused below, with a body.
    http: { requireHostHeader: false },
    trustProxy: options.trustProxy,
    frameworkErrors: (error, request, reply) => {
      void sendError(error, request, reply);
    },
    // As long as a request's head can be: an id of any length names nothing, which is a 404.
    routerOptions: { querystringParser: parseQueryString, maxParamLength: maxHeaderSize },
  }).withTypeProvider<TypeBoxTypeProvider>();

  // A client that expects what the server does not know is answered all the same, as by a server that knows nothing.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.decorateReply('errorCode', null);
  app.decorateRequest('owner', '');
  app.decorateRequest('allowance');
  app.setValidatorCompiler(compileValidator);
  // Response schemas are for the document and the tests: writing by schema would drop what it does not know.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  acceptJsonOnly(app);

  const closed = (request: FastifyRequest, reply: FastifyReply) => {
    if (reply.errorCode !== null) errors.count(reply.errorCode, request.id);
    rooms.metrics?.request({
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.raw.headersSent ? reply.statusCode : null,
      code: reply.errorCode,
      seconds: reply.elapsedTime / 1000,
    });
    request.log.info(
      {
        method: request.method,
        // Without the query: metadata filters are the caller's data.
        path: request.url.split('?', 1)[0],
        status: reply.statusCode,
        ...(reply.errorCode === null ? {} : { code: reply.errorCode }),
        ...(reply.raw.writableFinished ? {} : { client_left: true }),
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
    // Kept alive, it would keep the server from closing.
    if (refusing) request.raw.socket.destroySoon();
  };
  app.addHook('onRequest', async (request, reply) => {
    // Not `onResponse`, which never comes where the client leaves before the end of its answer.
    reply.raw.once('close', () => closed(request, reply));
    void reply.header('x-request-id', request.id);
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1') {
      throw invalidRequest('headers', 'must have a Host');
    }
    if (refusing) {
      void reply.header('connection', 'close');
      throw new AppError('server_shutting_down');
    }
    await rooms.gate(request, reply);
  });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(new AppError('route_not_found'), request, reply));

  const refuseOtherMethods = collectMethods(app);
  await addOpenApi(app, rooms.version);
  await app.register(async (routes) => {
    addHealthRoute(routes, rooms);
    addReadyRoute(routes, rooms);
    if (rooms.metrics !== null) addMetricsRoute(routes, rooms.metrics);
    addProviderRoutes(routes, rooms);
    addSessionRoutes(routes, rooms);
    addMessageRoutes(routes, rooms);
    addTurnRoutes(routes, rooms);
  });
  await addAdminRoutes(app, rooms.admin);
  refuseOtherMethods();
  return {
    app,
    refuse: () => {
      refusing = true;
    },
    close: async () => {
      const cut = setTimeout(() => app.server.closeAllConnections(), LAST_BYTES_MILLISECONDS);
      await app.close();
      clearTimeout(cut);
    },
  };
}
