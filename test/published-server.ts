/** The servers that the protocol's authors publish, run as programs that listen on a port. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { publishedServer } from './mcp-settings.ts';

export interface ListeningServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** `server-everything` with this transport; on this port, or on a free one. */
export async function startEverything(
  transport: 'streamableHttp' | 'sse',
  onPort?: number,
): Promise<ListeningServer> {
  const port = onPort ?? (await freePort());
  const server = spawn(process.execPath, [publishedServer('everything'), transport], {
    env: { PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(server, 'exit');
  const lines = createInterface({ input: server.stderr });
  const listening = new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      if (line.includes(`port ${port}`)) resolve();
    });
    void exited.then(() => reject(new Error('the server ended')), reject);
  });
  await listening;
  return {
    port,
    async stop() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
