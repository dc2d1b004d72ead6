/** Requests that are not HTTP, or too large in their headers: answered on the socket, as no request exists. */

import type { Socket } from 'node:net';
import { newId } from '../conversation/id.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { errorBody } from './error-response.ts';

export function answerProtocolError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'invalid_request';
  const refusal = new AppError(code);
  const requestId = newId();
  const body = JSON.stringify(errorBody(refusal, requestId));
  const head = [
    `HTTP/1.1 ${refusal.status} ${code}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
