/** Requests that are not HTTP, or too large in their headers: answered on the socket, as no request exists. */

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { newId } from '../conversation/id.ts';
import { AppError } from '../errors.ts';
import { errorBody, invalidRequest } from './error-response.ts';

export function answerProtocolError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const refusal = tooLarge ? new AppError('headers_too_large') : invalidRequest('request', 'is not HTTP');
  const requestId = newId();
  const body = JSON.stringify(errorBody(refusal, requestId));
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
