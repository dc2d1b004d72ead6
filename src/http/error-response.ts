/** The one way by which an error becomes an answer. */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, asAppError, type ErrorDetails } from '../errors.ts';
import { isOpenAIPath, openAIErrorBody } from './openai/openai-error.ts';

export interface ErrorBody {
  error: { code: string; message: string; details?: ErrorDetails };
  request_id: string;
}

/**
 * Seconds after which it is worth asking a store again that could not serve. The shortest outages, a restart or a
 * failover, take about as long, and so does, by default, a call that is cut: who comes back sooner finds the same.
 */
const STORE_RETRY_SECONDS = 2;

export function errorBody(thrown: AppError, requestId: string): ErrorBody {
  const { code, message } = thrown;
  const details = detailsOf(thrown);
  const error = details === undefined ? { code, message } : { code, message, details };
  return { error, request_id: requestId };
}

/**
 * An outage's error is told when to come back here, as it is no matter of the turn that it ended: that is stored. Who
 * knows better, as shared limits do, has said so.
 */
function detailsOf({ code, details }: AppError): ErrorDetails | undefined {
  return code === 'store_unavailable' ? { retry_after: STORE_RETRY_SECONDS, ...details } : details;
}

/** Answers with the error, whatever was thrown; what is unforeseen goes to the log, and its id to the client. */
export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = fromFramework(thrown) ?? asAppError(thrown);
  if (error.code === 'internal_error') request.log.error({ err: error.cause }, 'unforeseen error');
  reply.errorCode = error.code;
  const retryAfter = detailsOf(error)?.['retry_after'];
  if (typeof retryAfter === 'number') void reply.header('retry-after', retryAfter);
  // Clients' libraries send again what was answered with 409, which would only be answered so again.
  if (error.status === 409 && !error.retryable) void reply.header('x-should-retry', 'false');
  // A connection that is closed on a client that still writes loses the answer on its way.
  if (error.code === 'body_too_large' && isWorthReading(request)) void reply.removeHeader('connection');
  const body = isOpenAIPath(request.raw.url ?? '') ? openAIErrorBody(error) : errorBody(error, request.id);
  return reply.code(error.status).send(body);
}

/** What is read only to be dropped, so that whoever sent too much learns of it. */
const DROPPED_BYTES = 64 * 1024 * 1024;

function isWorthReading({ headers }: FastifyRequest): boolean {
  return Number(headers['content-length'] ?? Infinity) <= DROPPED_BYTES;
}

/** What the framework refuses before a handler sees it, in the words of the catalogue; null for other errors. */
function fromFramework(thrown: unknown): AppError | null {
  const code: string | undefined = (thrown as Partial<FastifyError> | null)?.code;
  switch (code) {
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new AppError('invalid_json');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('invalid_content_type');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('body_too_large');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return invalidRequest('body', 'is not as long as Content-Length says');
    case 'FST_ERR_BAD_URL':
      return invalidRequest('path', 'is not properly percent-encoded');
    default:
      return null;
  }
}

/** A request that is wrong as a whole, in the form in which a schema's problems are told. */
export function invalidRequest(part: string, message: string): AppError {
  return new AppError('invalid_request', { problems: [{ in: part, path: '', message }] });
}
