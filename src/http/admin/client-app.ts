/**
 * The routes of clients and keys without a server: for a command that has the store to itself. What they check and
 * answer is the same; who asks, and how often, is nobody's question here.
 */

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import type { Directory } from '../../clients/directory.ts';
import { newId } from '../../conversation/id.ts';
import { sendError } from '../error-response.ts';
import type { App } from '../rooms.ts';
import { compileValidator } from '../validation.ts';
import { addClientRoutes } from './client-routes.ts';

/** Asked by `inject`; it never listens. */
export function createClientApp(directory: Directory, log: FastifyBaseLogger): App {
  const app: App = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => newId(),
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.decorateReply('errorCode', null);
  app.setValidatorCompiler(compileValidator);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setErrorHandler(sendError);
  addClientRoutes(app, { directory });
  return app;
}
