/**
 * Requests that do not come to their end as HTTP: garbage, heads that are too large, senders that are too slow. Where
 * there is a request already it is answered like any other; where there is none, on the socket.
 */

import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { newId } from '../conversation/id.ts';
import { AppError } from '../errors.ts';
import { errorBody, invalidRequest, sendError } from './error-response.ts';
import { SECURITY_HEADERS } from './security-headers.ts';

/** Not by an import, which looks at all that `node:http` exports and so loads Node's own fetch: 15 MB that nobody uses. */
const { STATUS_CODES } = process.getBuiltinModule('node:http');

export interface ClientErrors {
  /** To be told of every request: an error that comes on its socket may be its own. */
  began(reply: FastifyReply): void;
  /** For the `clientError` of the server. */
  answer(error: Error & { code?: string }, socket: Socket): void;
}

export function createClientErrors(): ClientErrors {
  /** The last request of each socket; those before it have been received. */
  const latest = new WeakMap<Socket, FastifyReply>();
  /** What follows an error on a socket is an error as well. */
  const ending = new WeakSet<Socket>();
  return {
    began: (reply) => latest.set(reply.request.raw.socket, reply),
    answer,
  };

  function answer(error: Error & { code?: string }, socket: Socket): void {
    if (ending.has(socket)) return;
    ending.add(socket);
    // Whoever connects ahead of time and sends nothing has asked for nothing.
    if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
      socket.destroy();
      return;
    }
    const refusal = refusalOf(error);
    const reply = latest.get(socket);
    if (reply === undefined || reply.raw.closed) {
      const isRestOfAnswered = reply?.request.raw.complete === false;
      if (isRestOfAnswered) socket.destroySoon();
      else refuse(socket, refusal);
    } else if (reply.request.raw.complete) {
      // An answer comes in between: to what was asked before.
      reply.raw.once('close', () => refuse(socket, refusal));
    } else if (reply.sent) {
      reply.raw.once('close', () => socket.destroySoon());
    } else {
      interrupt(reply, refusal);
    }
  }
}

/** How long is waited, after the last answer, for whoever still sends to have read it. */
const LINGER_MILLISECONDS = 1000;

/** Answers a request whose body does not come to its end. */
function interrupt(reply: FastifyReply, refusal: AppError): void {
  const { request } = reply;
  const { socket } = request.raw;
  void reply.header('connection', 'close');
  // What Node calls after the answer to close the connection.
  socket.destroySoon = () => endAndLinger(socket);
  // Whoever waits for the body hears of it as of any error in it, and answers.
  if (request.raw.listenerCount('error') > 0) request.raw.emit('error', refusal);
  else sendError(refusal, request, reply);
}

function refuse(socket: Socket, refusal: AppError): void {
  if (!socket.writable) return;
  const requestId = newId();
  const body = JSON.stringify(errorBody(refusal, requestId));
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    ...SECURITY_HEADERS,
    connection: 'close',
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const { status } = refusal;
  endAndLinger(socket, `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`);
}

/**
 * Ends the connection when its client does, or after a moment: one that is closed on somebody who still writes is reset,
 * and the answer lost on its way.
 */
function endAndLinger(socket: Socket, last = ''): void {
  const close = () => socket.destroy();
  const timer = setTimeout(close, LINGER_MILLISECONDS).unref();
  socket.once('close', () => clearTimeout(timer));
  socket.end(last, () => (socket.readableEnded ? close() : socket.once('end', close)));
}

function refusalOf({ code }: { code?: string }): AppError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new AppError('headers_too_large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout');
    default:
      return invalidRequest('request', 'is not HTTP');
  }
}
