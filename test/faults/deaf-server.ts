/**
 * A server to which no connection can be made, without its being refused: it takes none, and its queue is full.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface DeafServer {
  url: string;
  close(): void;
}

/** Listens, says where, and sleeps for good: its connections wait for the kernel alone. */
const DEAF = `
  const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, server.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/** More than a queue of one takes. */
const QUEUED = 4;

/** Starts one on a free port of the loopback interface, and fills its queue. */
export async function startDeafServer(): Promise<DeafServer> {
  const child: ChildProcess = spawn(process.execPath, ['-e', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout!.setEncoding('utf8'), 'data');
  const sockets: Socket[] = Array.from({ length: QUEUED }, () => connect(Number(port), '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => undefined);
  // The first two find a place; when they have it, nobody else does.
  await Promise.all(sockets.slice(0, 2).map((socket) => once(socket, 'connect')));
  return {
    url: `http://127.0.0.1:${Number(port)}/v1`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
