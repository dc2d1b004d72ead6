/** Bytes to a server and back, for requests that no HTTP client would send. */

import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Headers;
  body: any;
}

/** A connection in the test's hands. */
export interface Connection {
  write(bytes: string | Uint8Array): void;
  /** Resolves when what the server has sent so far contains the text. */
  received(text: string): Promise<void>;
  /** Everything that the server has sent, once it has ended the connection. */
  ended: Promise<string>;
  /** Stops reading, or goes on with it. */
  hold(on: boolean): void;
  leave(): void;
}

export function openConnection(url: string): Connection {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  let text = '';
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  socket.on('data', (piece) => {
    text += piece;
  });
  // A server that closes on somebody who still writes resets the connection.
  socket.on('error', () => undefined);
  return {
    write: (bytes) => socket.write(bytes),
    received: async (expected) => {
      while (!text.includes(expected)) await once(socket, 'data');
    },
    ended,
    hold: (on) => (on ? socket.pause() : socket.resume()),
    leave: () => socket.destroy(),
  };
}

/** Sends the bytes on a connection of their own and reads until the server ends it. */
export async function sendBytes(url: string, bytes: string | Uint8Array): Promise<RawAnswer> {
  const connection = openConnection(url);
  connection.write(bytes);
  return parseAnswer(await connection.ended);
}

/** A request with this line and these headers, after which the server is to end the connection. */
export function sendRequest(url: string, line: string, headers = '', body = ''): Promise<RawAnswer> {
  return sendBytes(
    url,
    `${line} HTTP/1.1\r\nHost: parley.test\r\nConnection: close\r\n${headers}\r\n${body}`,
  );
}

export function parseAnswer(text: string): RawAnswer {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  const [first = '', ...lines] = head.split('\r\n');
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const isJson = headers.get('content-type')?.startsWith('application/json') && body !== '';
  return { status: Number(first.split(' ')[1]), headers, body: isJson ? JSON.parse(body) : body };
}
