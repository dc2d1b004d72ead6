/**
 * An HTTP server without routes: what it takes of connections, heads and bodies before anybody has looked at what is
 * asked. Each bound has its reason here; two of them are the operator's.
 */

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import { createClientErrors } from './client-error.ts';
import { sendError } from './error-response.ts';
import { acceptJsonOnly } from './json-body.ts';
import { asksForSocket } from './openai/response-socket.ts';
import { parseQueryString } from './query-string.ts';
import { requestIdOf } from './request-id.ts';
import type { App, Rooms } from './rooms.ts';
import { compileValidator } from './validation.ts';

/** Room for a message with images; more than this is refused unread. */
export const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/** A request's line and headers, so also its URL. What is customary: nothing that the API reads is near it. */
const HEAD_LIMIT_BYTES = 16 * 1024;

/** Headers of a request. A proxy or two add a dozen. */
export const HEADERS_MAX = 200;

/** Longer than load balancers keep idle connections, who must be those that close them: 60 s is usual. */
const KEEP_ALIVE_MILLISECONDS = 72_000;

/** How often it is looked for senders that are too slow, at most. */
const CHECKING_MILLISECONDS = 5000;

/** A full server is said once in so long. */
const FULL_AGAIN_MILLISECONDS = 60_000;

/** @param begin called for every request, before anything else, also for those that no hook sees */
export function createBareServer(
  log: FastifyBaseLogger,
  { reception, trustProxy }: Pick<Rooms, 'reception' | 'trustProxy'>,
  begin: (request: FastifyRequest, reply: FastifyReply) => void,
): App {
  const clientErrors = createClientErrors();
  const requestTimeout = Math.ceil(reception.requestMilliseconds);
  const beginOnSocket = (request: FastifyRequest, reply: FastifyReply) => {
    clientErrors.began(reply);
    begin(request, reply);
  };

  const app: App = Fastify({
    loggerInstance: log,
    // One line per request, written at its end.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestIdOf,
    bodyLimit: BODY_LIMIT_BYTES,
    // A refusal while closing is an answer like any other.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: clientErrors.answer,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    requestTimeout,
    http: {
      // Missing hosts are refused by a hook, with a body.
      requireHostHeader: false,
      maxHeaderSize: HEAD_LIMIT_BYTES,
      shouldUpgradeCallback: (request) => app.server.listenerCount('upgrade') > 0 && asksForSocket(request),
      requestTimeout,
      headersTimeout: requestTimeout,
      // Whoever is too slow is so by a quarter at most.
      connectionsCheckingInterval: Math.min(CHECKING_MILLISECONDS, Math.ceil(requestTimeout / 4)),
    },
    trustProxy,
    schemaController: { compilersFactory: COMPILERS },
    frameworkErrors: (error, request, reply) => {
      beginOnSocket(request, reply);
      void sendError(error, request, reply);
    },
    // As long as a request's head can be: an id of any length names nothing, which is a 404.
    routerOptions: { querystringParser: parseQueryString, maxParamLength: HEAD_LIMIT_BYTES },
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.server.maxConnections = reception.connectionsMax;
  app.server.on('drop', sayFull(log, reception.connectionsMax));
  // One more is read than may be there; by default further ones would be dropped in silence.
  app.server.maxHeadersCount = HEADERS_MAX + 1;
  // A client that expects what the server does not know is answered all the same, as by a server that knows nothing.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  acceptJsonOnly(app);
  app.addHook('onRequest', (request, reply, done) => {
    beginOnSocket(request, reply);
    done();
  });
  return app;
}

/**
 * Given like this, and not set afterwards, they spare loading those that come with Fastify, which take some megabytes.
 * Response schemas are for the document and the tests: writing by schema would drop what it does not know.
 */
const COMPILERS = {
  buildValidator: () => compileValidator,
  buildSerializer: () => () => (data: unknown) => JSON.stringify(data),
  // The types are those of what comes with Fastify.
} as unknown as NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>;

function sayFull(log: FastifyBaseLogger, connections: number): () => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - saidAt < FULL_AGAIN_MILLISECONDS) return;
    saidAt = performance.now();
    log.warn({ connections }, 'connections are refused: there are CONNECTIONS_MAX already');
  };
}
